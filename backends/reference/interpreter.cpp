#include "backends/reference/interpreter.h"

#include "ir/kernel_verify.h"
#include "ir/scalar_eval.h"

namespace lathe {
namespace {

// A kernel with its functions looked up: what `context` points at.
struct Code {
  Kernel k;
  int parallel = -1;
  std::vector<scalar::ScalarFn> functions;  // by ScalarId; null for sources
  std::vector<uint64_t> constants;          // by ScalarId; Const only
  std::vector<scalar::LoadFn> loads;        // by operand
  std::vector<scalar::StoreFn> writes;      // by operand
  std::vector<scalar::CombineFn> folds;     // by reduction
  std::vector<scalar::CombineFn> joins;     // by reduction: lane with lane
  std::vector<scalar::CombineFn> scatters;  // by store
};

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0 ? 1 : 0); }

// Advances `ivs` through the box of `extents` in row-major order; false after the last point.
bool next_point(int64_t* ivs, const Dims& extents) {
  for (size_t i = extents.size(); i-- > 0;) {
    if (++ivs[i] < extents[i]) return true;
    ivs[i] = 0;
  }
  return false;
}

bool has_points(const Dims& extents) {
  for (int64_t e : extents)
    if (e <= 0) return false;
  return true;
}

// One call of a kernel.
class Run {
 public:
  Run(const Code& code, void* const* args)
      : code_(code),
        k_(code.k),
        args_(args),
        symbols_(static_cast<size_t>(k_.symbol_count()), 0),
        values_(k_.body.size(), 0),
        lanes_(k_.order == Order::Lanes ? kLanes : 1),
        acc_(k_.reductions.size() * lanes_) {}

  // Covers [begin, end) of the parallel iv.
  void range(int64_t begin, int64_t end) {
    Dims extents = k_.par;
    if (code_.parallel >= 0) {
      const auto p = static_cast<size_t>(code_.parallel);
      LATHE_ASSERT(0 <= begin && begin <= end && end <= extents[p], "[{}, {}) of {}", begin, end,
                   extents[p]);
      extents[p] = end - begin;
    }
    if (!has_points(extents)) return;
    Dims point(extents.size(), 0);
    do {
      for (size_t i = 0; i < point.size(); ++i) symbols_[i] = point[i];
      if (code_.parallel >= 0) symbols_[static_cast<size_t>(code_.parallel)] += begin;
      parallel_point();
    } while (next_point(point.data(), extents));
  }

 private:
  void parallel_point() {
    for (size_t r = 0; r < k_.reductions.size(); ++r)
      for (size_t lane = 0; lane < lanes_; ++lane)
        acc_[r * lanes_ + lane] =
            scalar::combine_identity(k_.reductions[r].combine, k_.reductions[r].type);
    int64_t* red = symbols_.data() + k_.par.size();
    std::fill(red, red + k_.red.size(), 0);
    if (has_points(k_.red)) do {
        reduction_point();
      } while (next_point(red, k_.red));
    if (k_.core == Core::Cumulative || k_.core == Core::Scatter) return;
    derive();
    join_lanes();
    finish();
  }

  void reduction_point() {
    derive();
    evaluate(0, static_cast<size_t>(k_.pre));
    switch (k_.core) {
      case Core::Map: break;
      case Core::Reduce: fold(); break;
      case Core::Cumulative:
        if (k_.exclusive) finish();
        fold();
        if (!k_.exclusive) finish();
        break;
      case Core::Scatter: store(); break;
    }
  }

  void fold() {
    const size_t last = static_cast<size_t>(k_.par.size() + k_.red.size()) - 1;
    const size_t lane = lanes_ > 1 ? static_cast<size_t>(symbols_[last] % kLanes) : 0;
    for (size_t r = 0; r < k_.reductions.size(); ++r) {
      uint64_t& acc = acc_[r * lanes_ + lane];
      const Reduction& reduction = k_.reductions[r];
      acc = code_.folds[r](acc, value(reduction.a), reduction.b < 0 ? 0 : value(reduction.b));
    }
  }

  void join_lanes() {
    for (size_t r = 0; r < k_.reductions.size(); ++r) {
      uint64_t* acc = &acc_[r * lanes_];
      for (size_t half = lanes_ / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; ++j) acc[j] = code_.joins[r](acc[j], acc[j + half], 0);
    }
  }

  void finish() {
    evaluate(static_cast<size_t>(k_.pre), k_.body.size());
    store();
  }

  void evaluate(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) values_[i] = instruction(i);
  }

  uint64_t instruction(size_t i) {
    const Instr& in = k_.body[i];
    switch (in.op) {
      case Scalar::Const: return code_.constants[i];
      case Scalar::IndexValue:
        return code_.functions[i](static_cast<uint64_t>(index(in.index)), 0, 0);
      case Scalar::Load:
        if (!guarded(in.guards)) return 0;
        return code_.loads[static_cast<size_t>(in.access.operand)](args_[in.access.operand],
                                                                   checked_offset(in.access));
      case Scalar::GuardTest: return guarded(in.guards) ? 1 : 0;
      case Scalar::Acc: return acc_[static_cast<size_t>(in.integer) * lanes_];
      default:
        return code_.functions[i](argument(in.args[0]), argument(in.args[1]), argument(in.args[2]));
    }
  }

  void store() {
    for (size_t i = 0; i < k_.stores.size(); ++i) {
      const Store& s = k_.stores[i];
      const auto operand = static_cast<size_t>(s.access.operand);
      const int64_t offset = checked_offset(s.access);
      uint64_t v = value(s.value);
      if (s.combine != Combine::Assign)
        v = code_.scatters[i](code_.loads[operand](args_[operand], offset), v, 0);
      code_.writes[operand](args_[operand], offset, v);
    }
  }

  void derive() {
    const size_t first = k_.par.size() + k_.red.size();
    for (size_t i = 0; i < k_.derived.size(); ++i)
      symbols_[first + i] = floor_div(index(k_.derived[i].numerator), k_.derived[i].divisor);
  }

  int64_t index(const IndexExpr& e) const {
    int64_t v = e.constant;
    for (const IndexTerm& t : e.terms) v += t.coefficient * symbols_[static_cast<size_t>(t.symbol)];
    return v;
  }

  bool guarded(const std::vector<GuardId>& guards) const {
    for (GuardId id : guards) {
      const Guard& g = k_.guards[static_cast<size_t>(id)];
      const int64_t v = index(g.index);
      if (v < 0 || v >= g.limit || v % g.multiple_of != 0) return false;
    }
    return true;
  }

  int64_t checked_offset(const Access& a) const {
    __int128 offset = index(a.offset);  // the product with a wild value must not wrap
    for (const IndirectTerm& t : a.indirect)
      offset += static_cast<__int128>(t.stride) *
                scalar::integer_value(k_.body[static_cast<size_t>(t.value)].type, value(t.value));
    const int64_t size = k_.operands[static_cast<size_t>(a.operand)].size;
    LATHE_ASSERT(0 <= offset && offset < size, "offset {} of operand {} with {} elements",
                 static_cast<int64_t>(offset), a.operand, size);
    return static_cast<int64_t>(offset);
  }

  uint64_t value(ScalarId id) const { return values_[static_cast<size_t>(id)]; }
  uint64_t argument(ScalarId id) const { return id < 0 ? 0 : value(id); }

  const Code& code_;
  const Kernel& k_;
  void* const* args_;
  std::vector<int64_t> symbols_;
  std::vector<uint64_t> values_;
  size_t lanes_;
  std::vector<uint64_t> acc_;  // reduction r, lane j at r * lanes_ + j
};

void run_kernel(void* const* args, int64_t begin, int64_t end, const void* context) {
  Run(*static_cast<const Code*>(context), args).range(begin, end);
}

scalar::ScalarFn function_of(const Kernel& k, const Instr& in) {
  if (in.op == Scalar::IndexValue)
    return scalar::scalar_function(Scalar::Cast, DType::i64, in.type);
  if (info(in.op).operands == 0) return nullptr;
  const ScalarId arg = in.args[in.op == Scalar::Select ? 1 : 0];
  return scalar::scalar_function(in.op, k.body[static_cast<size_t>(arg)].type, in.type);
}

Result<Code> prepare(const Kernel& k, const KernelSchedule& s) {
  Code code;
  code.k = k;
  code.parallel = s.parallel;
  for (const Operand& o : k.operands) {
    code.loads.push_back(scalar::load_function(o.dtype));
    code.writes.push_back(scalar::store_function(o.dtype));
  }
  for (const Instr& in : k.body) {
    code.functions.push_back(function_of(k, in));
    code.constants.push_back(scalar::constant_bits(in.type, in.number, in.integer));
    if (info(in.op).operands > 0 && code.functions.back() == nullptr)
      return failure("scalar {} has no meaning on its types", name(in.op));
  }
  for (const Reduction& r : k.reductions) {
    code.folds.push_back(scalar::combine_function(r.combine, r.type));
    code.joins.push_back(scalar::combine_function(scalar::join(r.combine), r.type));
    if (code.folds.back() == nullptr) return failure("a reduction has no meaning on its type");
  }
  for (const Store& st : k.stores) {
    const DType t = k.operands[static_cast<size_t>(st.access.operand)].dtype;
    code.scatters.push_back(scalar::combine_function(st.combine, t));
    if (code.scatters.back() == nullptr) return failure("a store cannot combine {}", name(t));
  }
  return code;
}

}  // namespace

Result<CompiledKernel> interpret_kernel(const Kernel& k, const KernelSchedule& s, const Target&) {
  const Result<bool> sound = verify_kernel(k, KernelStage::Expanded);
  LATHE_ASSERT(sound.ok(), "{}", sound.error());
  const Result<bool> fits = verify_schedule(k, s);
  LATHE_ASSERT(fits.ok(), "{}", fits.error());
  Result<Code> code = prepare(k, s);
  if (!code) return Failure{code.error()};
  auto keep = std::make_shared<const Code>(*std::move(code));
  return CompiledKernel{run_kernel, keep.get(), keep, "interpreter"};
}

}  // namespace lathe
