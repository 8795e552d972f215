#include "tests/support/kernel_gen.h"

#include <algorithm>

#include "ir/scalar_eval.h"
#include "passes/kernel_passes.h"
#include "tests/support/fill.h"

namespace lathe {
namespace {

const std::vector<DType> kAllTypes = {
    DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32,    DType::i16,
    DType::i8,  DType::u64, DType::u32, DType::u16,  DType::u8,  DType::boolean};

// The scalars of scalar.def that make a t of ts alone. Those with rules of their own about their
// operands are left to `conversion` and `comparison`.
std::vector<Scalar> functions_of(DType t, ScalarClass cls) {
  std::vector<Scalar> out;
  for (int i = 0; i < kScalarCount; ++i) {
    const auto s = static_cast<Scalar>(i);
    if (info(s).cls != cls || info(s).operands == 0) continue;
    if (s == Scalar::Scale2 || s == Scalar::Select || s == Scalar::Cast || s == Scalar::Bitcast)
      continue;
    if (cls == ScalarClass::expanded || scalar::scalar_function(s, t, t) != nullptr)
      out.push_back(s);
  }
  return out;
}

// One axis of an operand: which of its elements each point uses.
struct Axis {
  IndexExpr index;
  int64_t extent = 1;
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  KernelCase run() {
    k_.core = random_.pick<Core>({Core::Map, Core::Map, Core::Map, Core::Reduce, Core::Reduce,
                                  Core::Reduce, Core::Cumulative, Core::Scatter});
    main_ = random_.percent(60) ? DType::f32 : random_.pick(kAllTypes);
    spaces();
    if (k_.core != Core::Map) {
      first_part();
      k_.pre = static_cast<int32_t>(k_.body.size());
    }
    if (k_.core == Core::Scatter) scatter();
    else second_part();
    return finish();
  }

 private:
  void spaces() {
    int64_t points = 6000;
    const auto space = [&](Dims& dims, int64_t rank) {
      for (int64_t i = 0; i < rank; ++i) {
        const int64_t extent = random_.between(1, std::min<int64_t>(70, points));
        dims.push_back(extent);
        points = std::max<int64_t>(points / extent, 1);
      }
    };
    space(k_.par, random_.between(0, 3));
    if (k_.core != Core::Map) space(k_.red, random_.between(k_.core == Core::Reduce ? 0 : 1, 2));
    if (random_.percent(2) && !k_.red.empty()) k_.red[0] = 0;
  }

  // Scalars.
  ScalarId push(Instr in) {
    k_.body.push_back(std::move(in));
    pool_.push_back(static_cast<ScalarId>(k_.body.size()) - 1);
    return pool_.back();
  }
  ScalarId emit(Scalar op, DType t, std::array<ScalarId, 3> args) {
    Instr in;
    in.op = op;
    in.type = t;
    in.args = args;
    return push(std::move(in));
  }
  ScalarId constant(DType t, int64_t integer) {
    Instr in;
    in.type = t;
    if (is_float(t)) in.number = static_cast<float>(random_.uniform(-3, 3));
    else in.integer = t == DType::boolean ? integer & 1 : integer;
    return push(std::move(in));
  }
  DType type_of(ScalarId id) const { return compute_type(k_.body[static_cast<size_t>(id)].type); }
  DType any_type() { return compute_type(random_.percent(70) ? main_ : random_.pick(kAllTypes)); }

  // A scalar of this type: a known one, or made by a cast or a constant.
  ScalarId value(DType t) {
    std::vector<ScalarId> known;
    for (ScalarId id : pool_)
      if (type_of(id) == t) known.push_back(id);
    if (!known.empty() && random_.percent(90)) return random_.pick(known);
    if (pool_.empty() || random_.percent(20)) return constant(t, random_.between(0, 9));
    return emit(Scalar::Cast, t, {random_.pick(pool_), -1, -1});
  }

  void function() {
    const DType t = any_type();
    if (random_.percent(12)) return conversion(t);
    if (random_.percent(12)) return comparison(t);
    const Scalar op = random_.pick(functions_of(
        t, is_float(t) && random_.percent(10) ? ScalarClass::expanded : ScalarClass::machine));
    std::array<ScalarId, 3> args = {-1, -1, -1};
    for (size_t a = 0; a < static_cast<size_t>(info(op).operands); ++a) args[a] = value(t);
    emit(op, t, args);
  }

  void comparison(DType t) {
    const auto op = random_.pick<Scalar>({Scalar::Eq, Scalar::Ne, Scalar::Lt, Scalar::Le});
    const ScalarId a = value(t), b = value(t);
    const ScalarId c = emit(op, DType::boolean, {a, b, -1});
    const ScalarId x = value(t), y = value(t);
    emit(Scalar::Select, t, {c, x, y});
  }

  void conversion(DType t) {
    switch (random_.below(5)) {
      case 0: index_value(t); break;
      case 1: guard_test(); break;
      case 2: scale2(); break;
      case 3: bitcast(); break;
      default: emit(Scalar::Cast, random_.pick(kAllTypes), {value(t), -1, -1});
    }
  }

  void index_value(DType t) {
    Instr in;
    in.op = Scalar::IndexValue;
    in.type = t;
    in.index = IndexExpr(random_.between(-3, 3));
    for (SymbolId s : symbols_) in.index = in.index + IndexExpr::symbol(s) * random_.between(-2, 3);
    push(std::move(in));
  }

  void guard_test() {
    if (symbols_.empty()) return;
    Instr in;
    in.op = Scalar::GuardTest;
    in.type = DType::boolean;
    in.guards = {guard(IndexExpr::symbol(random_.pick(symbols_)) + random_.between(-3, 3),
                       random_.between(0, 20), random_.between(1, 3))};
    push(std::move(in));
  }

  // The significand comes straight from an operand filled with [0.5, 2], the exponent is limited.
  void scale2() {
    const bool wide = random_.percent(30);
    const DType t = wide ? DType::f64 : DType::f32, n = wide ? DType::i64 : DType::i32;
    const ScalarId x = load(t, Fill::Unit);
    const int64_t limit = wide ? 2200 : 300;
    const ScalarId raw = value(n);
    const ScalarId scale = constant(n, limit / 9);
    const ScalarId wild = emit(Scalar::Mul, n, {raw, scale, -1});
    const ScalarId top = constant(n, limit), bottom = constant(n, -limit);
    const ScalarId low = emit(Scalar::Max, n, {wild, bottom, -1});
    emit(Scalar::Scale2, t, {x, emit(Scalar::Min, n, {low, top, -1}), -1});
  }

  // Of values without NaNs only: their payloads are not specified.
  void bitcast() {
    const bool wide = random_.percent(30), to_float = random_.percent(50);
    const DType f = wide ? DType::f64 : DType::f32, i = wide ? DType::i64 : DType::u32;
    const ScalarId x = load(f, Fill::Unit);
    const ScalarId bits = emit(Scalar::Bitcast, i, {x, -1, -1});
    if (to_float) emit(Scalar::Bitcast, f, {bits, -1, -1});
  }

  // Accesses.
  GuardId guard(const IndexExpr& index, int64_t limit, int64_t multiple_of) {
    k_.guards.push_back({index, limit, multiple_of});
    return static_cast<GuardId>(k_.guards.size()) - 1;
  }
  IndexExpr floordiv(const IndexExpr& e, int64_t divisor) {
    k_.derived.push_back({e, divisor});
    return IndexExpr::symbol(k_.derived_symbol(static_cast<int>(k_.derived.size()) - 1));
  }
  int64_t extent_of(SymbolId s) const {
    const auto i = static_cast<size_t>(s);
    return std::max<int64_t>(i < k_.par.size() ? k_.par[i] : k_.red[i - k_.par.size()], 1);
  }
  bool room() const { return k_.derived.size() < 6 && k_.guards.size() < 6; }

  Axis axis(SymbolId s, std::vector<GuardId>& guards) {
    const IndexExpr iv = IndexExpr::symbol(s);
    const int64_t extent = extent_of(s), two = random_.between(2, 5);
    switch (room() ? random_.below(14) : 13) {
      case 0: return {iv * -1 + IndexExpr(extent - 1), extent};
      case 1: return {iv * 2, 2 * extent - 1};
      case 2: return {floordiv(iv, two), (extent - 1) / two + 1};
      case 3: return {iv + floordiv(iv, two) * -two, two};
      case 4: {
        const IndexExpr shifted = iv + IndexExpr(random_.between(-4, 4));
        const int64_t limit = random_.between(1, extent + 2);
        guards.push_back(guard(shifted, limit, 1));
        return {shifted, limit};
      }
      case 5: {
        const IndexExpr shifted = iv + IndexExpr(random_.between(-4, 4));
        const int64_t limit = random_.between(1, extent + 2);
        guards.push_back(guard(shifted, limit, two));
        return {floordiv(shifted, two), (limit - 1) / two + 1};
      }
      case 6: return window(s, guards);
      default: return {iv, extent};
    }
  }

  // stride * p + q - pad, as convolutions have it.
  Axis window(SymbolId s, std::vector<GuardId>& guards) {
    const SymbolId other = random_.pick(symbols_);
    if (other == s) return {IndexExpr::symbol(s), extent_of(s)};
    const int64_t stride = random_.between(1, 2), pad = random_.between(0, 2);
    const int64_t reach = stride * (extent_of(s) - 1) + extent_of(other);
    const IndexExpr e = IndexExpr::symbol(s) * stride + IndexExpr::symbol(other);
    if (pad == 0) return {e, reach};
    const int64_t limit = std::max<int64_t>(reach - 2 * pad, 1);
    guards.push_back(guard(e + IndexExpr(-pad), limit, 1));
    return {e + IndexExpr(-pad), limit};
  }

  // Lays axes out row-major, with gaps now and then; gives the operand's least size.
  int64_t layout(const std::vector<Axis>& axes, IndexExpr& offset, std::vector<int64_t>* strides) {
    int64_t stride = random_.percent(5) ? 2 : 1;
    const int64_t start = random_.percent(10) ? random_.between(1, 3) : 0;
    int64_t size = start + 1;
    offset = IndexExpr(start);
    for (size_t i = axes.size(); i-- > 0;) {
      offset = offset + axes[i].index * stride;
      size += stride * (axes[i].extent - 1);
      if (strides != nullptr) strides->insert(strides->begin(), stride);
      stride *= axes[i].extent + (random_.percent(10) ? random_.between(1, 3) : 0);
    }
    return size;
  }

  int32_t operand(DType t, int64_t size, OperandRole role, Fill kind) {
    k_.operands.push_back({t, size + (random_.percent(10) ? 3 : 0), role});
    fills_.push_back(kind);
    return static_cast<int32_t>(k_.operands.size()) - 1;
  }

  ScalarId load(DType t, Fill kind) {
    Instr in;
    in.op = Scalar::Load;
    in.type = random_.percent(50) ? t : compute_type(t);
    std::vector<SymbolId> ivs;
    for (SymbolId s : symbols_)
      if (random_.percent(80)) ivs.push_back(s);
    if (random_.percent(30)) random_.shuffle(ivs);
    std::vector<Axis> axes;
    int64_t elements = 1;
    for (SymbolId s : ivs) {
      axes.push_back(axis(s, in.guards));
      elements *= axes.back().extent;
      if (elements > 20000) axes.pop_back(), elements = 20000;
    }
    const bool gathers = elements < 5000 && random_.percent(8);
    const int64_t rows = random_.between(1, 9);
    if (gathers) axes.insert(axes.begin(), {IndexExpr(0), rows});
    std::vector<int64_t> strides;
    const int64_t size = layout(axes, in.access.offset, &strides);
    if (gathers) in.access.indirect.push_back({limited_index(rows), strides[0]});
    in.access.operand = operand(t, size, OperandRole::In, kind);
    return push(std::move(in));
  }

  // An integer from data, limited to [0, rows).
  ScalarId limited_index(int64_t rows) {
    const DType t = random_.percent(50) ? DType::i64 : DType::i32;
    const ScalarId raw = load(t, Fill::Small), zero = constant(t, 0), last = constant(t, rows - 1);
    const ScalarId low = emit(Scalar::Max, t, {raw, zero, -1});
    return emit(Scalar::Min, t, {low, last, -1});
  }

  void use_symbols(bool reduction) {
    symbols_.clear();
    const SymbolId end = reduction ? k_.derived_symbol(0) : k_.red_symbol(0);
    for (SymbolId s = 0; s < end; ++s) symbols_.push_back(s);
  }
  void loads(int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      load(random_.percent(70) ? main_ : random_.pick(kAllTypes),
           random_.percent(15) ? Fill::Wild : Fill::Small);
  }
  void functions(int64_t count) {
    for (int64_t i = 0; i < count; ++i) function();
  }

  // Parts.
  void first_part() {
    use_symbols(true);
    const bool contraction = k_.core == Core::Reduce && random_.percent(50);
    loads(contraction ? 2 : random_.between(1, 2));
    if (!contraction || random_.percent(20)) functions(random_.between(0, 4));
    if (k_.core == Core::Scatter) return;
    if (k_.core == Core::Cumulative) k_.exclusive = random_.percent(40);
    if (k_.core == Core::Reduce && !k_.red.empty() && random_.percent(40)) k_.order = Order::Lanes;
    const int64_t count = contraction ? 1 : random_.between(1, 2);
    for (int64_t i = 0; i < count; ++i) k_.reductions.push_back(reduction(contraction));
  }

  Reduction reduction(bool contraction) {
    const DType t = compute_type(contraction && main_ != DType::boolean ? main_ : any_type());
    using enum Combine;
    std::vector<Combine> combines;
    if (t == DType::boolean) combines = {And, Or};
    else if (is_float(t)) combines = {Add, Max, Min, Mul, Fma};
    else combines = {Add, Max, Min, Mul, Fma, And, Or};
    Reduction r;
    r.type = t;
    r.combine = contraction && t != DType::boolean ? Combine::Fma : random_.pick(combines);
    r.a = value(t);
    if (r.combine == Combine::Fma) r.b = value(t);
    return r;
  }

  void second_part() {
    const bool running = k_.core == Core::Cumulative;
    if (k_.core == Core::Reduce) pool_.clear();
    use_symbols(running);
    for (size_t i = 0; i < k_.reductions.size(); ++i) {
      Instr in;
      in.op = Scalar::Acc;
      in.type = k_.reductions[i].type;
      in.integer = static_cast<int64_t>(i);
      push(std::move(in));
    }
    loads(k_.core == Core::Map ? random_.between(1, 3) : random_.between(0, 2));
    const int64_t count = random_.percent(30) ? 0 : random_.between(0, 8);
    functions(count);
    for (int64_t i = random_.between(1, 2); i > 0; --i) store();
  }

  void store() {
    const DType t = random_.percent(70) ? main_ : random_.pick(kAllTypes);
    std::vector<SymbolId> order = symbols_;
    if (random_.percent(30)) random_.shuffle(order);
    std::vector<Axis> axes;
    for (SymbolId s : order) axes.push_back({IndexExpr::symbol(s), extent_of(s)});
    Access access;
    const int64_t size = layout(axes, access.offset, nullptr);
    const bool in_place = random_.percent(15);
    access.operand =
        operand(t, size, in_place ? OperandRole::InOut : OperandRole::Out, Fill::Small);
    if (in_place) {
      Instr in;
      in.op = Scalar::Load;
      in.type = t;
      in.access = access;
      const ScalarId old = push(std::move(in));
      if (t != DType::boolean)
        emit(Scalar::Add, compute_type(t), {old, value(compute_type(t)), -1});
    }
    const ScalarId last = pool_.back();
    const DType c = compute_type(t);
    const ScalarId v = type_of(last) == c ? last : emit(Scalar::Cast, t, {last, -1, -1});
    k_.stores.push_back({access, v, Combine::Assign});
  }

  void scatter() {
    const int64_t rows = random_.between(1, 9);
    const DType t = random_.percent(70) ? main_ : random_.pick(kAllTypes);
    std::vector<Axis> axes = {{IndexExpr(0), rows}};
    for (size_t p = 0; p < k_.par.size(); ++p)
      axes.push_back({IndexExpr::symbol(static_cast<SymbolId>(p)), k_.par[p]});
    Store s;
    std::vector<int64_t> strides;
    const int64_t size = layout(axes, s.access.offset, &strides);
    s.value = value(compute_type(t));
    s.access.indirect.push_back({limited_index(rows), strides[0]});
    s.access.operand = operand(t, size, OperandRole::InOut, Fill::Small);
    std::vector<Combine> combines = {Combine::Assign, Combine::Or, Combine::And};
    if (t != DType::boolean)
      combines = {Combine::Assign, Combine::Add, Combine::Add,
                  Combine::Max,    Combine::Min, Combine::Mul};
    s.combine = random_.pick(combines);
    k_.stores.push_back(s);
    k_.pre = static_cast<int32_t>(k_.body.size());
  }

  KernelCase finish() {
    KernelCase out;
    for (size_t i = 0; i < k_.operands.size(); ++i) {
      out.tensors.push_back(Tensor::empty(k_.operands[i].dtype, {k_.operands[i].size}));
      fill(out.tensors.back(), fills_[i], random_);
    }
    expand_math(k_);
    out.schedule = random_schedule(k_, random_.next());
    out.kernel = std::move(k_);
    return out;
  }

  Random random_;
  Kernel k_;
  DType main_ = DType::f32;
  std::vector<ScalarId> pool_;     // what the part being built may use
  std::vector<SymbolId> symbols_;  // likewise
  std::vector<Fill> fills_;        // by operand
};

}  // namespace

KernelCase random_kernel(uint64_t seed) {
  KernelCase c = Generator(seed).run();
  c.kernel.label = fmt::format("random kernel {}", seed);
  return c;
}

KernelSchedule random_schedule(const Kernel& k, uint64_t seed) {
  Random random(seed);
  KernelSchedule s;
  s.parallel = static_cast<int>(random.between(-1, std::ssize(k.par) - 1));
  s.grain = random.between(1, 9);
  s.vector = static_cast<int>(random.between(-1, std::ssize(k.par) + std::ssize(k.red) - 1));
  s.tile_m = random.pick<int64_t>({0, 1, 4, 6, 8});
  s.tile_n = random.pick<int64_t>({0, 8, 16, 32});
  return s;
}

std::vector<Tensor> clone_all(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(t.clone());
  return out;
}

}  // namespace lathe
