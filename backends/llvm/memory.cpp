// Loads and stores: of one element, of a vector, of masked vectors, and lane by lane.
#include "backends/llvm/emitter.h"
#include "ir/base/error.h"

namespace lathe::codegen {

using llvm::Value;

namespace {

llvm::Align element_align(DType t) { return llvm::Align(static_cast<uint64_t>(byte_size(t))); }

}  // namespace

Emitter::Condition Emitter::condition(const std::vector<GuardId>& guards, int row, int part) {
  Condition out;
  const auto join = [&](Value*& into, Value* v) { into = into ? b_.CreateAnd(into, v) : v; };
  for (GuardId g : guards) {
    const Cells& c = guard_cells_[static_cast<size_t>(g)];
    const int r = c.by_row ? row : 0, p = c.by_part ? part : 0;
    Value* v = c.values[static_cast<size_t>(r * (c.by_part ? tile_.parts : 1) + p)];
    const auto* known = llvm::dyn_cast<llvm::ConstantInt>(v);
    if (known && known->isOne()) continue;
    join(v->getType()->isVectorTy() ? out.vector : out.scalar, v);
  }
  return out;
}

// Where a guard is false the load reads bytes of our own instead: no branch, and no access to
// memory that may not exist. `bytes`: how far loads reach from the pointer.
Value* Emitter::guarded(Value* pointer, Value* condition, int64_t bytes, int fill) {
  return condition ? b_.CreateSelect(condition, pointer, filler(bytes, fill)) : pointer;
}

// Zeros are not constant, so that the object file holds their number only.
Value* Emitter::filler(int64_t bytes, int fill) {
  const std::string symbol = fmt::format("lathe.fill{}.{}", fill, bytes);
  if (auto* g = module_.getNamedGlobal(symbol)) return g;
  auto* type = llvm::ArrayType::get(b_.getInt8Ty(), static_cast<uint64_t>(bytes));
  const std::vector<uint8_t> value(static_cast<size_t>(bytes), static_cast<uint8_t>(fill));
  auto* g = new llvm::GlobalVariable(
      module_, type, fill != 0, llvm::GlobalValue::InternalLinkage,
      llvm::ConstantDataArray::get(module_.getContext(), llvm::ArrayRef(value)), symbol);
  g->setAlignment(llvm::Align(64));
  return g;
}

// Precondition: what `level` enters of the slot's pointer and guards has been emitted.
void Emitter::guard_early(ScalarId load, int level, Region region) {
  constexpr int64_t kMostZeros = 1 << 16;  // bytes
  const Instr& in = k_.body[static_cast<size_t>(load)];
  Slot& s = slots_[static_cast<size_t>(load)];
  if (in.guards.empty() || s.redirected || !in.access.indirect.empty()) return;
  int known = 0;
  for (GuardId g : in.guards) {
    const IvSet set = a_.guards[static_cast<size_t>(g)];
    if (by_part(set) && tile_.lanes > 1) return;
    known = std::max(known, level_of(set, region));
  }
  if (known != level || level_of(a_.instrs[static_cast<size_t>(load)], region) <= level) return;
  const auto ivs = static_cast<SymbolId>(k_.par.size() + k_.red.size());
  const int64_t bytes = byte_size(k_.operands[static_cast<size_t>(s.operand)].dtype);
  int64_t span = 8 * kLanes;
  for (const IndexTerm& t : s.offset.terms) {
    if (t.symbol == tile_.vec && t.coefficient > 0) span += t.coefficient * tile_.width() * bytes;
    if (level_of(a_.symbols[static_cast<size_t>(t.symbol)], region) <= level) continue;
    const int64_t reach = t.coefficient * a_.ranges[static_cast<size_t>(t.symbol)].high * bytes;
    if (t.symbol >= ivs || reach < 0 || reach > kMostZeros) return;
    span += reach;
  }
  if (span > kMostZeros) return;
  s.guarded_from = level;
  s.row_pointer.assign(static_cast<size_t>(tile_.rows),
                       std::vector<Value*>(static_cast<size_t>(kMaxIvs)));
  for (int r = 0; r < tile_.rows; ++r)
    s.row_pointer[static_cast<size_t>(r)][static_cast<size_t>(level)] =
        guarded(address(s, level, r, 0), condition(in.guards, r, 0).scalar, span, fill_of(load));
}

// Whether the target has masked vector accesses for elements of `t`.
bool Emitter::maskable(DType t) const {
  return target_.isa == Isa::avx512 || (target_.isa == Isa::avx2 && byte_size(t) >= 4);
}

bool Emitter::can_mask_all(SymbolId vec) const {
  const size_t ivs = k_.par.size() + k_.red.size();
  for (size_t d = 0; d < k_.derived.size(); ++d)
    if (a_.symbols[ivs + d] & iv_bit(vec)) return false;
  const auto fine = [&](const Access& a) {
    for (const IndirectTerm& t : a.indirect)
      if (a_.instrs[static_cast<size_t>(t.value)] & iv_bit(vec)) return false;
    return a.offset.coefficient(vec) == 1 &&
           maskable(k_.operands[static_cast<size_t>(a.operand)].dtype);
  };
  for (size_t i = 0; i < k_.body.size(); ++i)
    if (k_.body[i].op == Scalar::Load && (a_.instrs[i] & iv_bit(vec)) && !fine(k_.body[i].access))
      return false;
  for (const Store& s : k_.stores)
    if (s.combine != Combine::Assign || !fine(s.access)) return false;
  return true;
}

// The active lanes of a part as a mask; null if all are.
Value* Emitter::tile_mask(int part) {
  const int active = tile_.active(part);
  if (!tile_.count && active == tile_.lanes) return nullptr;
  llvm::SmallVector<llvm::Constant*, 64> iota, on;
  for (int lane = 0; lane < tile_.lanes; ++lane) {
    iota.push_back(b_.getInt32(static_cast<uint32_t>(lane)));
    on.push_back(b_.getInt1(lane < active));
  }
  if (!tile_.count) return llvm::ConstantVector::get(on);
  Value* count = ops_.splat(b_.CreateTrunc(tile_.count, b_.getInt32Ty()), tile_.lanes);
  return b_.CreateICmpULT(llvm::ConstantVector::get(iota), count);
}

Value* Emitter::load(ScalarId id, int row, int part, bool vector) {
  if (dot_ && id < k_.pre) return load_group(id, row, part);
  const Instr& in = k_.body[static_cast<size_t>(id)];
  const Slot& slot = slots_[static_cast<size_t>(id)];
  const DType t = k_.operands[static_cast<size_t>(slot.operand)].dtype;
  const int level =
      level_of(a_.instrs[static_cast<size_t>(id)], id < k_.pre ? Region::Pre : Region::Post);
  Condition c;
  if (slot.guarded_from < 0) c = condition(in.guards, row, part);
  Value* v = nullptr;
  if (!vector) {
    Value* pointer = guarded(address(slot, level, row, part * tile_.lanes), c.scalar);
    v = b_.CreateAlignedLoad(ops_.memory_type(t), pointer, element_align(t));
  } else if (Value* mask = tile_mask(part);
             contiguous(slot) && (maskable(t) || !(mask || c.vector))) {
    Value* pointer = vector_pointer(slot, level, t, row, part, c.scalar);
    llvm::Type* type = ops_.memory_type(t, tile_.lanes);
    if (c.vector) mask = mask ? b_.CreateAnd(mask, c.vector) : c.vector;
    v = mask ? static_cast<Value*>(b_.CreateMaskedLoad(type, pointer, element_align(t), mask,
                                                       llvm::Constant::getNullValue(type)))
             : b_.CreateAlignedLoad(type, pointer, element_align(t));
    if (slot.operand == fetched_ && !mask) fetch_ahead(pointer);
  } else {
    v = load_lanes(slot, level, t, row, part, c);
  }
  v = ops_.from_memory(v, t);
  return in.type == t ? v : ops_.cast(v, t, in.type);
}

void Emitter::fetch_ahead(Value* pointer) {
  Value* there = b_.CreateConstGEP1_64(b_.getInt8Ty(), pointer, static_cast<uint64_t>(ahead_));
  constexpr uint32_t kRead = 0, kToL1 = 3, kData = 1;
  b_.CreateIntrinsic(b_.getVoidTy(), llvm::Intrinsic::prefetch,
                     {there, b_.getInt32(kRead), b_.getInt32(kToL1), b_.getInt32(kData)});
}

// Of the lanes of a part, neighbours in memory. All parts of a row make one choice.
Value* Emitter::vector_pointer(const Slot& s, int level, DType t, int row, int part,
                               Value* condition) {
  if (!condition) return address(s, level, row, part * tile_.lanes);
  const int64_t bytes = byte_size(t);
  Value* first = guarded(address(s, level, row, 0), condition,
                         std::max<int64_t>(8 * kLanes, tile_.width() * bytes));
  return b_.CreateGEP(ops_.memory_type(t), first, i64(part * tile_.lanes));
}

Value* Emitter::load_lanes(const Slot& s, int level, DType t, int row, int part,
                           const Condition& c) {
  LATHE_ASSERT(!tile_.count, "a strided load under a run-time mask");
  Value* out = llvm::Constant::getNullValue(ops_.memory_type(t, tile_.lanes));
  for (int lane = 0; lane < tile_.active(part); ++lane) {
    Value* on = c.scalar;
    if (c.vector) {
      Value* here = b_.CreateExtractElement(c.vector, static_cast<uint64_t>(lane));
      on = on ? b_.CreateAnd(on, here) : here;
    }
    Value* pointer = guarded(address(s, level, row, part * tile_.lanes + lane), on);
    Value* v = b_.CreateAlignedLoad(ops_.memory_type(t), pointer, element_align(t));
    out = b_.CreateInsertElement(out, v, static_cast<uint64_t>(lane));
  }
  return out;
}

void Emitter::stores() {
  for (size_t i = 0; i < k_.stores.size(); ++i)
    for (int r = 0; r < tile_.rows; ++r)
      for (int p = 0; p < tile_.parts; ++p) store(k_.stores[i], slots_[k_.body.size() + i], r, p);
}

void Emitter::store(const Store& s, const Slot& slot, int row, int part) {
  const DType t = k_.operands[static_cast<size_t>(slot.operand)].dtype;
  Value* v = use(s.value, row, part, true);
  v = ops_.cast(v, k_.body[static_cast<size_t>(s.value)].type, compute_type(t));
  const int first = part * tile_.lanes;
  const bool whole = !tile_mask(part);
  if (tile_.lanes > 1 && !(contiguous(slot) && (whole || s.combine == Combine::Assign)))
    return store_lanes(s, slot, v, row, part);
  if (!whole && !(tile_.count || target_.isa == Isa::avx512))
    return store_pieces(slot, ops_.to_memory(v, t), row, part, t);
  Value* pointer = address(slot, post_end_, row, first);
  if (!whole) {
    b_.CreateMaskedStore(ops_.to_memory(v, t), pointer, element_align(t), tile_mask(part));
    return;
  }
  if (s.combine != Combine::Assign) {
    Value* old = b_.CreateAlignedLoad(ops_.memory_type(t, tile_.lanes), pointer, element_align(t));
    v = ops_.combine(s.combine, compute_type(t), ops_.from_memory(old, t), v, nullptr);
  }
  b_.CreateAlignedStore(ops_.to_memory(v, t), pointer, element_align(t));
}

// Lane by lane in order, so that a later lane sees what an earlier one stored.
void Emitter::store_lanes(const Store& s, const Slot& slot, Value* v, int row, int part) {
  LATHE_ASSERT(!tile_.count, "a strided store under a run-time mask");
  const DType t = k_.operands[static_cast<size_t>(slot.operand)].dtype;
  for (int lane = 0; lane < tile_.active(part); ++lane) {
    Value* pointer = address(slot, post_end_, row, part * tile_.lanes + lane);
    Value* x = b_.CreateExtractElement(v, static_cast<uint64_t>(lane));
    if (s.combine != Combine::Assign) {
      Value* old = b_.CreateAlignedLoad(ops_.memory_type(t), pointer, element_align(t));
      x = ops_.combine(s.combine, compute_type(t), ops_.from_memory(old, t), x, nullptr);
    }
    b_.CreateAlignedStore(ops_.to_memory(x, t), pointer, element_align(t));
  }
}

// The active lanes of a part in pieces of 8, 4, 2 and 1: quicker than a masked store before
// AVX-512.
void Emitter::store_pieces(const Slot& slot, Value* v, int row, int part, DType t) {
  int done = 0;
  for (int size = tile_.lanes; size > 0; size /= 2) {
    if (done + size > tile_.active(part)) continue;
    Value* pointer = address(slot, post_end_, row, part * tile_.lanes + done);
    Value* piece = nullptr;
    if (size == 1) {
      piece = b_.CreateExtractElement(v, static_cast<uint64_t>(done));
    } else {
      llvm::SmallVector<int, 16> lanes;
      for (int i = 0; i < size; ++i) lanes.push_back(done + i);
      piece = b_.CreateShuffleVector(v, lanes);
    }
    b_.CreateAlignedStore(piece, pointer, element_align(t));
    done += size;
  }
}

}  // namespace lathe::codegen
