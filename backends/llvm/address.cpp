// Indices, addresses and guards.
#include <limits>

#include "backends/llvm/emitter.h"

namespace lathe::codegen {

using llvm::Value;

Emitter::Slot Emitter::slot_of(const Access& a) const {
  Slot s;
  s.operand = a.operand;
  s.offset = a.offset;
  s.indirect = &a.indirect;
  s.pointer.resize(static_cast<size_t>(kMaxIvs));
  return s;
}

void Emitter::redirect(ScalarId load, Value* root, const IndexExpr& e, int64_t row_coefficient,
                       int64_t vec_coefficient) {
  Slot& s = slots_[static_cast<size_t>(load)];
  s.root = root;
  s.offset = e;
  s.row_coefficient = row_coefficient;
  s.vec_coefficient = vec_coefficient;
  s.redirected = true;
}

void Emitter::redirect_store(size_t store, Value* root, const IndexExpr& e, int64_t row_coefficient,
                             int64_t vec_coefficient) {
  redirect(static_cast<ScalarId>(k_.body.size() + store), root, e, row_coefficient,
           vec_coefficient);
}

// The derived symbols that become known at `level`; those that vary in the tile get a value for
// every row and lane.
void Emitter::derive(int level) {
  const size_t ivs = k_.par.size() + k_.red.size();
  for (size_t d = 0; d < k_.derived.size(); ++d) {
    const IvSet set = a_.symbols[ivs + d];
    if (level_of(set, Region::Post) != level) continue;
    const DerivedSymbol& symbol = k_.derived[d];
    const Range range = a_.range(symbol.numerator);
    const int rows = by_row(set) ? tile_.rows : 1, width = by_part(set) ? tile_.width() : 1;
    varying_[d].clear();
    if (rows * width == 1) {
      symbols_[ivs + d] = floor_div(index(symbol.numerator, 0, 0), symbol.divisor, range);
      continue;
    }
    for (int r = 0; r < tile_.rows; ++r)
      for (int lane = 0; lane < tile_.width(); ++lane) {
        if ((r > 0 && rows == 1) || (lane > 0 && width == 1)) {
          const size_t width_all = static_cast<size_t>(tile_.width());
          const size_t same_row = rows == 1 ? 0 : static_cast<size_t>(r);
          const size_t same_lane = width == 1 ? 0 : static_cast<size_t>(lane);
          varying_[d].push_back(varying_[d][same_row * width_all + same_lane]);
          continue;
        }
        varying_[d].push_back(floor_div(index(symbol.numerator, r, lane), symbol.divisor, range));
      }
  }
}

Value* Emitter::floor_div(Value* v, int64_t divisor, Range range) {
  if (divisor == 1) return v;
  if (range.low >= 0) return b_.CreateUDiv(v, i64(divisor));
  Value* q = b_.CreateSDiv(v, i64(divisor));
  Value* below = b_.CreateICmpSLT(v, b_.CreateMul(q, i64(divisor)));
  return b_.CreateAdd(q, b_.CreateSExt(below, b_.getInt64Ty()));
}

Value* Emitter::index(const IndexExpr& e, int row, int lane) {
  const size_t ivs = k_.par.size() + k_.red.size();
  int64_t constant = e.constant;
  Value* sum = nullptr;
  for (const IndexTerm& t : e.terms) {
    const auto s = static_cast<size_t>(t.symbol);
    Value* v = symbols_[s];
    if (s >= ivs && !varying_[s - ivs].empty())
      v = varying_[s - ivs][static_cast<size_t>(row * tile_.width() + lane)];
    else
      constant += t.coefficient * (shifts_[s] + (t.symbol == tile_.row ? row : 0) +
                                   (t.symbol == tile_.vec ? lane : 0));
    v = t.coefficient == 1 ? v : b_.CreateMul(v, i64(t.coefficient));
    sum = sum ? b_.CreateAdd(sum, v) : v;
  }
  if (!sum) return i64(constant);
  return constant == 0 ? sum : b_.CreateAdd(sum, i64(constant));
}

// The index at the lanes of a part; i32 where every value fits.
Value* Emitter::index_vector(const IndexExpr& e, int row, int part) {
  const Range range = a_.range(e);
  const bool narrow = range.low >= std::numeric_limits<int32_t>::min() / 2 &&
                      range.high <= std::numeric_limits<int32_t>::max() / 2;
  llvm::Type* element = narrow ? b_.getInt32Ty() : b_.getInt64Ty();
  const int first = part * tile_.lanes;
  const size_t ivs = k_.par.size() + k_.red.size();
  bool affine = true;
  for (const IndexTerm& t : e.terms)
    if (static_cast<size_t>(t.symbol) >= ivs && by_part(a_.symbols[static_cast<size_t>(t.symbol)]))
      affine = false;
  if (affine) {
    const int64_t step = e.coefficient(tile_.vec);
    llvm::SmallVector<llvm::Constant*, 64> iota;
    for (int lane = 0; lane < tile_.lanes; ++lane)
      iota.push_back(llvm::ConstantInt::get(element, static_cast<uint64_t>(step * lane), true));
    Value* base = b_.CreateSExtOrTrunc(index(e, row, first), element);
    return b_.CreateAdd(ops_.splat(base, tile_.lanes), llvm::ConstantVector::get(iota));
  }
  Value* out = llvm::PoisonValue::get(
      llvm::FixedVectorType::get(element, static_cast<unsigned>(tile_.lanes)));
  for (int lane = 0; lane < tile_.lanes; ++lane)
    out = b_.CreateInsertElement(out, b_.CreateSExtOrTrunc(index(e, row, first + lane), element),
                                 static_cast<uint64_t>(lane));
  return out;
}

// The sum of the terms of the offset that become known at `level`; null where there are none.
Value* Emitter::terms_at(const Slot& s, int level) {
  const size_t ivs = k_.par.size() + k_.red.size();
  Value* sum = nullptr;
  for (const IndexTerm& t : s.offset.terms) {
    const auto symbol = static_cast<size_t>(t.symbol);
    if (level_of(a_.symbols[symbol], Region::Post) != level) continue;
    if (symbol >= ivs && !varying_[symbol - ivs].empty()) continue;
    Value* v = symbols_[symbol];
    if (t.coefficient != 1) v = b_.CreateMul(v, i64(t.coefficient));
    sum = sum ? b_.CreateAdd(sum, v) : v;
  }
  return sum;
}

// Adds the terms that become known at `level` to the slot's pointer.
void Emitter::advance(Slot& s, int level) {
  const auto l = static_cast<size_t>(level);
  if (s.guarded_from >= level) s.guarded_from = -1;
  Value* sum = terms_at(s, level);
  if (level == 0 && !s.redirected)
    s.root = b_.CreateLoad(b_.getPtrTy(), b_.CreateConstGEP1_64(b_.getPtrTy(), args_,
                                                                static_cast<uint64_t>(s.operand)));
  llvm::Type* element = ops_.memory_type(k_.operands[static_cast<size_t>(s.operand)].dtype);
  if (s.guarded_from >= 0) {
    for (std::vector<Value*>& pointer : s.row_pointer)
      pointer[l] = sum ? b_.CreateGEP(element, pointer[l - 1], sum) : pointer[l - 1];
    return;
  }
  Value* before = level == 0 ? s.root : s.pointer[l - 1];
  s.pointer[l] = sum ? b_.CreateGEP(element, before, sum) : before;
}

// `lane` counts from the first lane of the tile's first part.
Value* Emitter::address(const Slot& s, int level, int row, int lane) {
  const size_t ivs = k_.par.size() + k_.red.size();
  llvm::Type* element = ops_.memory_type(k_.operands[static_cast<size_t>(s.operand)].dtype);
  if (s.guarded_from >= 0 && level > s.guarded_from) {  // the rest is in the row's pointer
    int64_t constant = s.offset.coefficient(tile_.vec) * lane;
    for (const IndexTerm& t : s.offset.terms)
      constant += t.coefficient * shifts_[static_cast<size_t>(t.symbol)];
    Value* pointer = s.row_pointer[static_cast<size_t>(row)][static_cast<size_t>(level)];
    return constant == 0 ? pointer : b_.CreateGEP(element, pointer, i64(constant));
  }
  int64_t constant = s.offset.constant + s.row_coefficient * row + s.vec_coefficient * lane;
  Value* sum = nullptr;
  const auto add = [&](Value* v, int64_t coefficient) {
    if (coefficient != 1) v = b_.CreateMul(v, i64(coefficient));
    sum = sum ? b_.CreateAdd(sum, v) : v;
  };
  for (const IndexTerm& t : s.offset.terms) {
    const auto symbol = static_cast<size_t>(t.symbol);
    if (symbol >= ivs && !varying_[symbol - ivs].empty())
      add(varying_[symbol - ivs][static_cast<size_t>(row * tile_.width() + lane)], t.coefficient);
    else
      constant += t.coefficient * (shifts_[symbol] + (t.symbol == tile_.row ? row : 0) +
                                   (t.symbol == tile_.vec ? lane : 0));
  }
  for (const IndirectTerm& t : *s.indirect) {
    const DType type = k_.body[static_cast<size_t>(t.value)].type;
    Value* v = use(t.value, row, lane / tile_.lanes, false);
    if (v->getType()->isVectorTy())
      v = b_.CreateExtractElement(v, static_cast<uint64_t>(lane % tile_.lanes));
    v = is_signed(type) ? b_.CreateSExtOrTrunc(v, b_.getInt64Ty())
                        : b_.CreateZExtOrTrunc(v, b_.getInt64Ty());
    add(v, t.stride);
  }
  Value* pointer = s.pointer[static_cast<size_t>(level)];
  if (sum) pointer = b_.CreateGEP(element, pointer, sum);
  return constant == 0 ? pointer : b_.CreateGEP(element, pointer, i64(constant));
}

// Whether the lanes of a part are neighbours in memory.
bool Emitter::contiguous(const Slot& s) const {
  const size_t ivs = k_.par.size() + k_.red.size();
  int64_t step = s.vec_coefficient;
  for (const IndexTerm& t : s.offset.terms) {
    const auto symbol = static_cast<size_t>(t.symbol);
    if (t.symbol == tile_.vec) step += t.coefficient;
    else if (symbol >= ivs && by_part(a_.symbols[symbol])) return false;
  }
  for (const IndirectTerm& t : *s.indirect)
    if (by_part(a_.instrs[static_cast<size_t>(t.value)])) return false;
  return step == 1;
}

Value* Emitter::all_inside(SymbolId row, int rows) {
  const auto pars = static_cast<SymbolId>(k_.par.size());
  Value* all = nullptr;
  const auto require = [&](Value* v) { all = all ? b_.CreateAnd(all, v) : v; };
  for (const Guard& g : k_.guards) {
    if (g.multiple_of != 1) return nullptr;
    Value* at = i64(g.index.constant);
    int64_t low = 0, high = 0;  // what the reduction and the rows add at least and at most
    for (const IndexTerm& t : g.index.terms) {
      if (t.symbol >= k_.derived_symbol(0)) return nullptr;
      const int64_t steps = t.symbol >= pars  ? k_.red[static_cast<size_t>(t.symbol - pars)]
                            : t.symbol == row ? rows
                                              : 1;
      (t.coefficient > 0 ? high : low) += t.coefficient * (steps - 1);
      if (t.symbol >= pars) continue;
      Value* iv = symbols_[static_cast<size_t>(t.symbol)];
      if (!iv) return nullptr;
      at = b_.CreateAdd(at, b_.CreateMul(iv, i64(t.coefficient)));
    }
    require(b_.CreateICmpSGE(at, i64(-low)));
    require(b_.CreateICmpSLT(at, i64(g.limit - high)));
  }
  return all;
}

Value* Emitter::guard(GuardId id, int row, int part) {
  const Guard& g = k_.guards[static_cast<size_t>(id)];
  const Range range = a_.range(g.index);
  const bool inside = range.low >= 0 && range.high < g.limit;
  if (tile_.inside || (inside && g.multiple_of == 1)) return b_.getTrue();
  const bool vector = by_part(a_.guards[static_cast<size_t>(id)]) && tile_.lanes > 1;
  Value* v = vector ? index_vector(g.index, row, part) : index(g.index, row, part * tile_.lanes);
  const unsigned bits = v->getType()->getScalarSizeInBits();
  const auto k = [&](int64_t c) {
    return llvm::ConstantInt::get(v->getType(), static_cast<uint64_t>(c));
  };
  const bool fits = bits == 64 || g.limit <= std::numeric_limits<int32_t>::max();
  Value* ok = fits ? b_.CreateICmpULT(v, k(g.limit)) : b_.CreateICmpSGE(v, k(0));
  if (g.multiple_of == 1) return ok;
  return b_.CreateAnd(ok, b_.CreateICmpEQ(b_.CreateURem(v, k(g.multiple_of)), k(0)));
}

}  // namespace lathe::codegen
