#include "backends/llvm/emitter.h"

#include <algorithm>

#include "ir/base/error.h"
#include "ir/scalar_eval.h"

namespace lathe::codegen {

using llvm::Value;

Emitter::Emitter(llvm::IRBuilder<>& builder, llvm::Module& module, const CodeTarget& target,
                 const Analysis& analysis, Value* args)
    : b_(builder),
      module_(module),
      target_(target),
      a_(analysis),
      k_(analysis.k),
      args_(args),
      ops_(builder, module, target),
      levels_(k_.par.size() + k_.red.size(), 0),
      symbols_(static_cast<size_t>(k_.symbol_count()), nullptr),
      shifts_(symbols_.size(), 0),
      varying_(k_.derived.size()),
      cells_(k_.body.size()),
      guard_cells_(k_.guards.size()) {
  for (const Instr& in : k_.body) slots_.push_back(slot_of(in.access));
  for (const Store& s : k_.stores) slots_.push_back(slot_of(s.access));
  acc_.resize(k_.reductions.size());
}

void Emitter::set_tile(const Tile& tile) {
  tile_ = tile;
  first_row_ = 0, end_row_ = tile.rows;
  feeds_vector_.assign(k_.body.size(), false);
  if (tile.lanes == 1) return;
  const auto feed = [&](ScalarId id) {
    if (id >= 0) feeds_vector_[static_cast<size_t>(id)] = true;
  };
  for (size_t i = 0; i < k_.body.size(); ++i)
    if (by_part(a_.instrs[i]))
      for (ScalarId id : k_.body[i].args) feed(id);
  for (const Reduction& r : k_.reductions) feed(r.a), feed(r.b);
  for (const Store& s : k_.stores) feed(s.value);
}

bool Emitter::by_row(IvSet s) const {
  return tile_.rows > 1 && (s & (iv_bit(tile_.row) | kAcc)) != 0;
}

bool Emitter::by_part(IvSet s) const {
  return tile_.width() > 1 && (s & (iv_bit(tile_.vec) | (tile_.acc_vectors ? kAcc : 0))) != 0;
}

int Emitter::level_of(IvSet s, Region region) const {
  const int end = region == Region::Pre ? pre_end_ : post_end_;
  if (s & (kAcc | kPinned)) return end;
  int level = 0;
  for (size_t iv = 0; iv < levels_.size(); ++iv)
    if (s & (IvSet{1} << iv)) level = std::max(level, levels_[iv]);
  return level;
}

void Emitter::enter(int level, Region region) {
  const bool pre = region == Region::Pre;
  const auto first = static_cast<ScalarId>(pre ? 0 : k_.pre);
  const auto last = static_cast<ScalarId>(pre ? k_.pre : static_cast<int>(k_.body.size()));
  derive(level);
  std::vector<bool> guards(k_.guards.size(), false);
  for (ScalarId id = first; id < last; ++id) {
    const Instr& in = k_.body[static_cast<size_t>(id)];
    if (in.op == Scalar::Load && level_of(a_.instrs[static_cast<size_t>(id)], region) >= level)
      advance(slots_[static_cast<size_t>(id)], level);
    for (GuardId g : in.guards) guards[static_cast<size_t>(g)] = true;
  }
  if (!pre)
    for (size_t i = 0; i < k_.stores.size(); ++i) advance(slots_[k_.body.size() + i], level);
  for (size_t g = 0; g < guards.size(); ++g) {
    if (!guards[g] || level_of(a_.guards[g], region) != level) continue;
    Cells& c = guard_cells_[g];
    c.by_row = by_row(a_.guards[g]), c.by_part = by_part(a_.guards[g]);
    c.values.clear();
    for (int r = 0; r < (c.by_row ? tile_.rows : 1); ++r)
      for (int p = 0; p < (c.by_part ? tile_.parts : 1); ++p)
        c.values.push_back(guard(static_cast<GuardId>(g), r, p));
  }
  for (ScalarId id = first; id < last; ++id)
    if (k_.body[static_cast<size_t>(id)].op == Scalar::Load) guard_early(id, level, region);
  for (ScalarId id = first; id < last; ++id)
    if (level_of(a_.instrs[static_cast<size_t>(id)], region) == level && id != deferred_) emit(id);
}

void Emitter::emit(ScalarId id) {
  Cells& c = cells_[static_cast<size_t>(id)];
  const IvSet set = a_.instrs[static_cast<size_t>(id)];
  c.by_row = by_row(set), c.by_part = by_part(set);
  c.values.clear(), c.splats.clear();
  const bool vector = c.by_part && tile_.lanes > 1;
  for (int r = 0; r < (c.by_row ? tile_.rows : 1); ++r)
    for (int p = 0; p < (c.by_part ? tile_.parts : 1); ++p) {
      c.values.push_back(compute(id, r, p, vector));
      if (!vector && feeds_vector_[static_cast<size_t>(id)])
        c.splats.push_back(ops_.splat(c.values.back(), tile_.lanes));
    }
}

Value* Emitter::use(ScalarId id, int row, int part, bool vector) {
  const Cells& c = cells_[static_cast<size_t>(id)];
  const int r = c.by_row ? row : 0, p = c.by_part ? part : 0;
  const auto i = static_cast<size_t>(r * (c.by_part ? tile_.parts : 1) + p);
  return vector && !c.by_part && tile_.lanes > 1 ? c.splats.at(i) : c.values.at(i);
}

Value* Emitter::compute(ScalarId id, int row, int part, bool vector) {
  const Instr& in = k_.body[static_cast<size_t>(id)];
  switch (in.op) {
    case Scalar::Const: return ops_.constant(in.type, in.number, in.integer);
    case Scalar::Load: return load(id, row, part, vector);
    case Scalar::Acc: return accumulator(static_cast<size_t>(in.integer), row, part);
    case Scalar::IndexValue: {
      if (!vector) return ops_.cast(index(in.index, row, part * tile_.lanes), DType::i64, in.type);
      Value* v = index_vector(in.index, row, part);
      const bool narrow = v->getType()->getScalarSizeInBits() == 32;
      return ops_.cast(v, narrow ? DType::i32 : DType::i64, in.type);
    }
    case Scalar::GuardTest: {
      const Condition c = condition(in.guards, row, part);
      if (!vector) return c.scalar ? c.scalar : b_.getTrue();
      Value* s = ops_.splat(c.scalar ? c.scalar : b_.getTrue(), tile_.lanes);
      return !c.vector ? s : c.scalar ? b_.CreateAnd(s, c.vector) : c.vector;
    }
    default: break;
  }
  const auto arg = [&](int i) {
    const ScalarId a = in.args[static_cast<size_t>(i)];
    return a < 0 ? nullptr : use(a, row, part, vector);
  };
  const ScalarId typed = in.args[in.op == Scalar::Select ? 1 : 0];
  return ops_.apply(in.op, in.type, k_.body[static_cast<size_t>(typed)].type, arg(0), arg(1),
                    arg(2));
}

Value*& Emitter::accumulator(size_t reduction, int row, int part) {
  return acc_[reduction][static_cast<size_t>(row * acc_parts_ + part)];
}

void Emitter::start_accumulators() {
  acc_parts_ = tile_.parts;
  for (size_t j = 0; j < acc_.size(); ++j) {
    const Reduction& r = k_.reductions[j];
    Value* start =
        ops_.splat(ops_.identity(r.combine, r.type), tile_.acc_vectors ? tile_.lanes : 1);
    acc_[j].assign(static_cast<size_t>(tile_.rows * tile_.parts), start);
  }
}

void Emitter::end_accumulators() {
  for (auto& values : acc_) values.clear();
}

void Emitter::fold() {
  for (size_t j = 0; j < acc_.size(); ++j)
    for (int r = first_row_; r < end_row_; ++r) {
      if (deferred_ >= 0 && !dot_columns_) emit_row(deferred_, r);
      for (int p = 0; p < tile_.parts; ++p) fold(j, r, p);
    }
}

void Emitter::emit_row(ScalarId id, int row) {
  Cells& c = cells_[static_cast<size_t>(id)];
  const auto r = static_cast<size_t>(row);
  c.by_row = tile_.rows > 1, c.by_part = false;
  c.values.resize(static_cast<size_t>(tile_.rows)), c.splats.resize(c.values.size());
  c.values[r] = compute(id, row, 0, false);
  Value* splat = ops_.splat(c.values[r], tile_.lanes);
  c.splats[r] = dot_ ? prepare_a(b_, *dot_, splat) : splat;
}

void Emitter::fold(size_t reduction, int row, int part) {
  const Reduction& red = k_.reductions[reduction];
  Value*& acc = accumulator(reduction, row, part);
  if (dot_) {
    Value* a = dot_columns_ ? flipped_sign(b_, tile_.lanes) : use(red.a, row, part, true);
    acc = emit_dot(b_, *dot_, target_, acc, a, use(red.b, row, part, true));
    return;
  }
  Value* a = use(red.a, row, part, true);
  Value* b = red.b < 0 ? nullptr : use(red.b, row, part, true);
  const Combine how = flushing_ ? Combine::Fma : red.combine;
  Value* next = ops_.combine(how, compute_type(red.type), acc, a, b);
  // Only Lanes needs the inactive lanes to keep their value: elsewhere nobody reads them.
  Value* mask = k_.order == Order::Lanes ? tile_mask(part) : nullptr;
  acc = mask ? b_.CreateSelect(mask, next, acc) : next;
}

Value* Emitter::joined_lanes(size_t reduction, int row) {
  const Reduction& red = k_.reductions[reduction];
  const Combine how = scalar::join(red.combine);
  const DType t = compute_type(red.type);
  std::vector<Value*> parts;
  for (int p = 0; p < acc_parts_; ++p) parts.push_back(accumulator(reduction, row, p));
  for (size_t half = parts.size() / 2; half > 0; half /= 2)
    for (size_t p = 0; p < half; ++p)
      parts[p] = ops_.combine(how, t, parts[p], parts[p + half], nullptr);
  Value* v = parts[0];
  for (int half = lanes_of(v) / 2; half > 0; half /= 2) {
    llvm::SmallVector<int, 32> low, high;
    for (int i = 0; i < half; ++i) low.push_back(i), high.push_back(half + i);
    v = ops_.combine(how, t, b_.CreateShuffleVector(v, low), b_.CreateShuffleVector(v, high),
                     nullptr);
  }
  return v->getType()->isVectorTy() ? b_.CreateExtractElement(v, uint64_t{0}) : v;
}

void Emitter::join_lanes() {
  for (size_t j = 0; j < acc_.size(); ++j) {
    std::vector<Value*> rows;
    for (int r = 0; r < tile_.rows; ++r) rows.push_back(joined_lanes(j, r));
    acc_[j] = rows;
  }
  acc_parts_ = 1;
}

}  // namespace lathe::codegen
