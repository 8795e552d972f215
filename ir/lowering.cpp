#include "ir/lowering.h"

#include <algorithm>

namespace lathe {
namespace {

// While a kernel is being built its symbol ids leave room for growth: reductions are opened, and
// derived symbols made, in any order. `finish` renumbers them.
constexpr SymbolId kRedBase = 1 << 10;
constexpr SymbolId kDerivedBase = 1 << 11;

bool equal_instr(const Instr& a, const Instr& b) {
  return a.op == b.op && a.type == b.type && a.args == b.args && a.integer == b.integer &&
         std::bit_cast<uint64_t>(a.number) == std::bit_cast<uint64_t>(b.number) &&
         a.index == b.index && a.access == b.access && a.guards == b.guards;
}

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

ScalarId append(Kernel& kernel, Instr instr) {
  for (size_t i = 0; i < kernel.body.size(); ++i)
    if (equal_instr(kernel.body[i], instr)) return static_cast<ScalarId>(i);
  kernel.body.push_back(std::move(instr));
  return static_cast<ScalarId>(kernel.body.size() - 1);
}

AxisIndex plus(const AxisIndex& a, const AxisIndex& b) {
  AxisIndex out(a.expr + b.expr);
  out.indirect = a.indirect;
  for (const IndirectTerm& t : b.indirect) out.indirect.push_back(t);
  return out;
}

AxisIndex times(const AxisIndex& a, int64_t factor) {
  AxisIndex out(a.expr * factor);
  if (factor != 0)
    for (const IndirectTerm& t : a.indirect) out.indirect.push_back({t.value, t.stride * factor});
  return out;
}

}  // namespace

Lowering::Lowering(const Graph& g, std::set<uint32_t> inlined, Dims par)
    : graph_(g), inlined_(std::move(inlined)) {
  LATHE_ASSERT(std::ssize(par) < kRedBase);
  kernel_.par = std::move(par);
}

Index Lowering::parallel_index() const {
  Index at;
  for (size_t i = 0; i < kernel_.par.size(); ++i)
    at.axes.emplace_back(IndexExpr::symbol(static_cast<SymbolId>(i)));
  return at;
}

ScalarId Lowering::pull(Value v, const Index& at) {
  if (materialised(v)) return load(v, linear(at, dims(v)));
  auto& known = memo_[v];
  for (const Memo& m : known)
    if (m.at == at && m.guards == active_guards_) return m.id;
  const Node& n = graph_.node(v);
  const OpDef& def = op_def(n.op);
  LATHE_ASSERT(def.lower != nullptr, "{} cannot be part of a kernel", def.name);
  const std::vector<GuardId> guards = active_guards_;
  const ScalarId id = def.lower(*this, n, static_cast<int>(v.result), at);
  memo_[v].push_back({at, guards, id});
  return id;
}

void Lowering::store(int operand, const Index& at, const Dims& dims, ScalarId value) {
  const AxisIndex offset = linear(at, dims);
  kernel_.stores.push_back({{operand, offset.expr, offset.indirect}, value, Combine::Assign});
}

int Lowering::add_operand(Value v, OperandRole role) {
  kernel_.operands.push_back({type(v).dtype, type(v).shape.element_count(), role});
  operands_.push_back(v);
  return static_cast<int>(operands_.size()) - 1;
}

int Lowering::operand_of(Value v) {
  for (size_t i = 0; i < operands_.size(); ++i)
    if (operands_[i] == v && kernel_.operands[i].role == OperandRole::In)
      return static_cast<int>(i);
  return add_operand(v, OperandRole::In);
}

ScalarId Lowering::load(Value v, const AxisIndex& offset) {
  Instr instr;
  instr.op = Scalar::Load;
  instr.type = type(v).dtype;
  instr.access = {operand_of(v), offset.expr, offset.indirect};
  instr.guards = active_guards_;
  return append(kernel_, std::move(instr));
}

ScalarId Lowering::load_linear(Value v, const AxisIndex& offset) {
  LATHE_ASSERT(materialised(v));
  return load(v, offset);
}

ScalarId Lowering::emit(Scalar op, DType type, std::initializer_list<ScalarId> args) {
  LATHE_ASSERT(static_cast<int>(args.size()) == info(op).operands, "{}", name(op));
  Instr instr;
  instr.op = op;
  instr.type = type;
  std::copy(args.begin(), args.end(), instr.args.begin());
  return append(kernel_, std::move(instr));
}

ScalarId Lowering::constant(DType type, double value) {
  if (!is_float(type)) return constant_int(type, static_cast<int64_t>(value));
  Instr instr;
  instr.type = type;
  instr.number = value;
  return append(kernel_, std::move(instr));
}

ScalarId Lowering::constant_int(DType type, int64_t value) {
  Instr instr;
  instr.type = type;
  instr.integer = value;
  return append(kernel_, std::move(instr));
}

ScalarId Lowering::index_value(const AxisIndex& index, DType type) {
  LATHE_ASSERT(index.indirect.empty(), "an index value cannot be data dependent");
  Instr instr;
  instr.op = Scalar::IndexValue;
  instr.type = type;
  instr.index = index.expr;
  return append(kernel_, std::move(instr));
}

std::pair<int64_t, int64_t> Lowering::range(const IndexExpr& e) const {
  int64_t low = e.constant, high = e.constant;
  for (const IndexTerm& t : e.terms) {
    int64_t first = 0, last = 0;
    if (t.symbol >= kDerivedBase) {
      const DerivedSymbol& d = kernel_.derived[static_cast<size_t>(t.symbol - kDerivedBase)];
      const auto [a, b] = range(d.numerator);
      first = floor_divide(a, d.divisor), last = floor_divide(b, d.divisor);
    } else {
      const int64_t extent = t.symbol >= kRedBase
                                 ? kernel_.red[static_cast<size_t>(t.symbol - kRedBase)]
                                 : kernel_.par[static_cast<size_t>(t.symbol)];
      last = extent > 0 ? extent - 1 : 0;
    }
    low += t.coefficient * (t.coefficient > 0 ? first : last);
    high += t.coefficient * (t.coefficient > 0 ? last : first);
  }
  return {low, high};
}

IndexExpr Lowering::floordiv(const IndexExpr& numerator, int64_t divisor) {
  LATHE_ASSERT(divisor > 0);
  if (divisor == 1) return numerator;
  // What divides exactly leaves; the rest vanishes if it stays inside [0, divisor).
  IndexExpr whole, rest;
  for (const IndexTerm& t : numerator.terms) {
    const bool divides = t.coefficient % divisor == 0;
    (divides ? whole : rest)
        .terms.push_back({t.symbol, divides ? t.coefficient / divisor : t.coefficient});
  }
  whole.constant = floor_divide(numerator.constant, divisor);
  rest.constant = numerator.constant - whole.constant * divisor;
  const auto [low, high] = range(rest);
  if (low >= 0 && high < divisor) return whole;
  const DerivedSymbol d{rest, divisor};
  auto found = std::find(kernel_.derived.begin(), kernel_.derived.end(), d);
  const auto id = static_cast<SymbolId>(kDerivedBase + (found - kernel_.derived.begin()));
  if (found == kernel_.derived.end()) kernel_.derived.push_back(d);
  return whole + IndexExpr::symbol(id);
}

IndexExpr Lowering::mod(const IndexExpr& numerator, int64_t divisor) {
  return numerator + floordiv(numerator, divisor) * -divisor;
}

AxisIndex Lowering::linear(const Index& at, const Dims& dims) const {
  LATHE_ASSERT(at.rank() == std::ssize(dims), "index of rank {} into rank {}", at.rank(),
               dims.size());
  const Dims strides = row_major_strides(dims);
  AxisIndex offset;
  for (size_t i = 0; i < dims.size(); ++i) offset = plus(offset, times(at.axes[i], strides[i]));
  return offset;
}

Index Lowering::delinearize(const AxisIndex& linear, const Dims& dims) {
  LATHE_ASSERT(linear.indirect.empty(), "a data-dependent index cannot be split");
  Index at;
  at.axes.resize(dims.size());
  IndexExpr rest = linear.expr;
  for (size_t i = dims.size(); i-- > 0;) {
    if (i == 0) {
      at.axes[i] = rest;
    } else {
      const IndexExpr next = floordiv(rest, dims[i]);
      at.axes[i] = rest + next * -dims[i];
      rest = next;
    }
  }
  return at;
}

std::optional<GuardId> Lowering::guard(const IndexExpr& index, int64_t limit, int64_t multiple_of) {
  const auto [low, high] = range(index);
  const bool aligned = [&] {
    if (index.constant % multiple_of != 0) return false;
    return std::all_of(index.terms.begin(), index.terms.end(),
                       [&](const IndexTerm& t) { return t.coefficient % multiple_of == 0; });
  }();
  if (low >= 0 && high < limit && aligned) return std::nullopt;
  const Guard g{index, limit, aligned ? 1 : multiple_of};
  auto found = std::find(kernel_.guards.begin(), kernel_.guards.end(), g);
  const auto id = static_cast<GuardId>(found - kernel_.guards.begin());
  if (found == kernel_.guards.end()) kernel_.guards.push_back(g);
  return id;
}

ScalarId Lowering::guard_test(const std::vector<GuardId>& guards) {
  if (guards.empty()) return constant_int(DType::boolean, 1);
  Instr instr;
  instr.op = Scalar::GuardTest;
  instr.type = DType::boolean;
  instr.guards = guards;
  std::sort(instr.guards.begin(), instr.guards.end());
  return append(kernel_, std::move(instr));
}

ScalarId Lowering::guarded(const std::vector<GuardId>& guards, DType type, double fill,
                           const std::function<ScalarId()>& body) {
  const std::vector<GuardId> outer = active_guards_;
  for (GuardId g : guards)
    if (std::find(active_guards_.begin(), active_guards_.end(), g) == active_guards_.end())
      active_guards_.push_back(g);
  std::sort(active_guards_.begin(), active_guards_.end());
  const ScalarId value = body();
  active_guards_ = outer;
  if (guards.empty()) return value;
  // A guarded load already gives +0 outside.
  const Instr& instr = kernel_.body[static_cast<size_t>(value)];
  const bool plus_zero = std::bit_cast<uint64_t>(fill) == 0;
  if (plus_zero && instr.op == Scalar::Load) return value;
  const ScalarId inside = guard_test(guards);
  const DType selected = compute_type(type);
  return emit(Scalar::Select, selected, {inside, value, constant(selected, fill)});
}

Index Lowering::reduction(const Dims& extents) {
  LATHE_ASSERT(!reduction_open_, "a kernel has one reduction space");
  reduction_open_ = true;
  kernel_.core = Core::Reduce;
  kernel_.red = extents;
  Index at;
  for (size_t i = 0; i < extents.size(); ++i)
    at.axes.emplace_back(IndexExpr::symbol(kRedBase + static_cast<SymbolId>(i)));
  return at;
}

IndexExpr Lowering::cumulative_index(int64_t extent, bool exclusive) {
  if (!reduction_open_) reduction({extent});
  kernel_.core = Core::Cumulative;
  kernel_.exclusive = exclusive;
  return IndexExpr::symbol(kRedBase);
}

ScalarId Lowering::accumulate(Combine combine, DType type, ScalarId a, ScalarId b) {
  LATHE_ASSERT(reduction_open_);
  kernel_.reductions.push_back({combine, compute_type(type), a, b});
  Instr instr;
  instr.op = Scalar::Acc;
  instr.type = compute_type(type);
  instr.integer = std::ssize(kernel_.reductions) - 1;
  return append(kernel_, std::move(instr));
}

void Lowering::scatter(const Index& at, const Dims& dims, ScalarId value, Combine combine) {
  kernel_.core = Core::Scatter;
  const AxisIndex offset = linear(at, dims);
  kernel_.stores.push_back({{0, offset.expr, offset.indirect}, value, combine});
}

namespace {

// Rewrites symbol ids from the building ranges to the kernel's final numbering.
struct Renumber {
  SymbolId par, red;
  void apply(IndexExpr& e) const {
    for (IndexTerm& t : e.terms) {
      if (t.symbol >= kDerivedBase) t.symbol = par + red + (t.symbol - kDerivedBase);
      else if (t.symbol >= kRedBase) t.symbol = par + (t.symbol - kRedBase);
    }
  }
};

// Marks what `roots` need, not looking behind accumulators.
std::vector<bool> needed(const Kernel& k, const std::vector<ScalarId>& roots) {
  std::vector<bool> mark(k.body.size(), false);
  for (ScalarId r : roots)
    if (r >= 0) mark[static_cast<size_t>(r)] = true;
  for (size_t i = k.body.size(); i-- > 0;) {
    if (!mark[i]) continue;
    for (ScalarId a : k.body[i].args)
      if (a >= 0) mark[static_cast<size_t>(a)] = true;
    for (const IndirectTerm& t : k.body[i].access.indirect)
      mark[static_cast<size_t>(t.value)] = true;
  }
  return mark;
}

class BodyBuilder {
 public:
  explicit BodyBuilder(const Kernel& k) : kernel_(k) {}

  // Appends the marked instructions; returns the map from old to new ids.
  std::vector<ScalarId> append_marked(const std::vector<bool>& mark) {
    std::vector<ScalarId> map(kernel_.body.size(), -1);
    for (size_t i = 0; i < kernel_.body.size(); ++i) {
      if (!mark[i]) continue;
      Instr instr = kernel_.body[i];
      for (ScalarId& a : instr.args)
        if (a >= 0) a = map[static_cast<size_t>(a)];
      for (IndirectTerm& t : instr.access.indirect) t.value = map[static_cast<size_t>(t.value)];
      map[i] = static_cast<ScalarId>(body.size());
      body.push_back(std::move(instr));
    }
    return map;
  }

  std::vector<Instr> body;

 private:
  const Kernel& kernel_;
};

}  // namespace

Kernel Lowering::finish(std::vector<Value>* operands) {
  Kernel& k = kernel_;
  std::vector<ScalarId> folded, stored;
  for (const Reduction& r : k.reductions) folded.insert(folded.end(), {r.a, r.b});
  for (const Store& s : k.stores) {
    stored.push_back(s.value);
    for (const IndirectTerm& t : s.access.indirect) stored.push_back(t.value);
  }
  BodyBuilder builder(k);
  const auto pre = builder.append_marked(needed(k, folded));
  const auto pre_count = static_cast<int32_t>(builder.body.size());
  const auto post = builder.append_marked(needed(k, stored));
  const auto renamed = [](const std::vector<ScalarId>& map, ScalarId id) {
    return id < 0 ? id : map[static_cast<size_t>(id)];
  };
  for (Reduction& r : k.reductions) r.a = renamed(pre, r.a), r.b = renamed(pre, r.b);
  for (Store& s : k.stores) {
    s.value = renamed(post, s.value);
    for (IndirectTerm& t : s.access.indirect) t.value = renamed(post, t.value);
  }
  k.body = std::move(builder.body);
  k.pre = k.core == Core::Scatter ? static_cast<int32_t>(k.body.size()) : pre_count;

  const Renumber renumber{static_cast<SymbolId>(k.par.size()), static_cast<SymbolId>(k.red.size())};
  for (DerivedSymbol& d : k.derived) renumber.apply(d.numerator);
  for (Guard& g : k.guards) renumber.apply(g.index);
  for (Instr& i : k.body) renumber.apply(i.index), renumber.apply(i.access.offset);
  for (Store& s : k.stores) renumber.apply(s.access.offset);
  *operands = operands_;
  return std::move(k);
}

}  // namespace lathe
