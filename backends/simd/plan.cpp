#include "backends/simd/plan.h"

#include <algorithm>
#include <array>
#include <optional>

#include "backends/simd/chains.h"
#include "backends/simd/functions.h"
#include "backends/simd/registers.h"
#include "ir/scalar_eval.h"

namespace lathe::simd {
namespace {

int width(DType t) { return static_cast<int>(byte_size(compute_type(t))); }

// Whether a value of type `from` lies in memory of type `to` with the same bytes.
bool same_storage(DType from, DType to) {
  return compute_type(from) == to && compute_type(to) == to;
}

class Planner {
 public:
  Planner(Canonical c, const Table& table, SymbolId vector, bool external)
      : table_(table), external_(external) {
    p_.k = std::move(c.kernel);
    p_.parallel = c.parallel;
    p_.scale = c.scale;
    p_.vector = vector;
    p_.along_reduction = vector >= static_cast<SymbolId>(p_.k.par.size());
    values_.resize(k().body.size());
    functions_ = find_functions(k().body);
  }

  Plan run() {
    mark_used();
    for (const Store& s : k().stores) stored_.push_back(s.access.operand);
    for (size_t i = 0; i < k().derived.size(); ++i) plan_derived(static_cast<int>(i));
    for (size_t i = 0; i < k().reductions.size(); ++i) plan_accumulator(i);
    for (size_t i = 0; i < k().body.size(); ++i)
      if (used_[i]) plan_instruction(i);
    if (!external_)
      for (size_t i = 0; i < k().reductions.size(); ++i) plan_fold(i);
    for (const Store& s : k().stores) plan_store(s);
    p_.joins_rows = external_ && joins_rows();
    p_.chain = table_.chain;
    join_chains(p_);
    if (p_.joins_rows) keep_loads();
    write_in_place();
    place_registers(p_, last_level());
    return std::move(p_);
  }

 private:
  struct Value {
    Reg reg = -1;
    bool varying = false;
    Level level = Level::Call;
    Reg splat = -1;  // the same value as a tile
  };
  // What an expression depends on.
  struct Reach {
    bool varying = false;
    Level level = Level::Call;
    void add(bool v, Level l) {
      varying |= v;
      level = std::max(level, l);
    }
  };

  const Kernel& k() const { return p_.k; }

  // Moves by the ivs alone: registers hold what several rows need, one after the other.
  static bool affine(const TileIndex& x) { return x.tiles.empty() && x.scalars.empty(); }
  bool joins(const TileStep& s) const {
    if (!s.varying) return false;
    if (s.kind != TileStep::Kind::Load)
      return s.kind == TileStep::Kind::Compute || s.kind == TileStep::Kind::Splat ||
             s.kind == TileStep::Kind::Chain;
    const TileAccess& a = p_.accesses[static_cast<size_t>(s.item)];
    return affine(a.offset) && std::ranges::all_of(a.guards, [&](int32_t g) {
             return affine(p_.guards[static_cast<size_t>(g)].index);
           });
  }
  bool joins_rows() const {
    if (!p_.list(Level::Row).empty()) return false;
    for (const Level l : {Level::Tile, Level::Post})
      for (const TileStep& s : p_.list(l))
        if (!joins(s)) return false;
    return std::ranges::all_of(p_.stores, [](const TileStore& s) {
      return s.varying && s.combine == nullptr && affine(s.access.offset);
    });
  }
  // What lies in memory for the columns alone is spread over rows once.
  void keep_loads() {
    int kept = 0;
    for (const Level l : {Level::Tile, Level::Post})
      for (TileStep& s : p_.lists[static_cast<int>(l)]) {
        if (s.kind != TileStep::Kind::Load || kept == kMostKept) continue;
        const TileAccess& a = p_.accesses[static_cast<size_t>(s.item)];
        const bool columns = std::ranges::all_of(
            a.offset.terms, [&](const IndexTerm& t) { return t.symbol == p_.vector; });
        if (a.direct && a.guards.empty() && a.offset.step == 1 && columns) s.kept = kept++;
      }
  }
  // A result that lies in memory as it does in its register needs no copy.
  void write_in_place() {
    if (p_.stores.size() != 1 || (k().core != Core::Map && k().core != Core::Reduce)) return;
    TileStore& s = p_.stores[0];
    const bool alike = s.varying && s.convert == nullptr && s.combine == nullptr &&
                       s.access.offset.step == 1 && s.access.offset.tiles.empty();
    const auto& steps = p_.list(Level::Post);
    s.in_place = alike && !steps.empty() && steps.back().out == s.value &&
                 (steps.back().kind == TileStep::Kind::Compute ||
                  steps.back().kind == TileStep::Kind::Chain);
  }
  const Value& value(ScalarId id) const { return values_[static_cast<size_t>(id)]; }
  Level last_level() const { return k().core == Core::Scatter ? Level::Step : Level::Post; }

  void mark_used() {
    used_.assign(k().body.size(), false);
    const auto use = [&](ScalarId id) {
      if (id >= 0) used_[static_cast<size_t>(id)] = true;
    };
    for (const Store& s : k().stores) {
      use(s.value);
      for (const IndirectTerm& t : s.access.indirect) use(t.value);
    }
    if (!external_)
      for (const Reduction& r : k().reductions) use(r.a), use(r.b);
    for (size_t i = k().body.size(); i-- > 0;) {
      if (!used_[i]) continue;
      if (functions_[i].function >= 0) {
        for (const ScalarId id : functions_[i].operands) use(id);
        continue;
      }
      if (const auto c = choice(i)) {
        for (const ScalarId id : c->operands) use(id);
        continue;
      }
      for (ScalarId a : k().body[i].args) use(a);
      for (const IndirectTerm& t : k().body[i].access.indirect) use(t.value);
    }
  }

  Reg new_register(int bytes, bool varying) {
    p_.registers.push_back({.bytes = bytes, .varying = varying});
    return static_cast<Reg>(p_.registers.size()) - 1;
  }
  void push(Level l, TileStep s) { p_.lists[static_cast<int>(l)].push_back(s); }

  // ---- indices

  void reach_symbol(SymbolId s, Reach& r) const {
    const auto par = static_cast<SymbolId>(k().par.size());
    const SymbolId derived = k().derived_symbol(0);
    if (s >= derived)
      r.add(derived_[static_cast<size_t>(s - derived)].varying,
            derived_[static_cast<size_t>(s - derived)].level);
    else if (s >= par) r.add(s == p_.vector, Level::Step);
    else if (s == p_.vector) r.add(true, Level::Tile);
    else r.add(false, Level::Row);
  }
  Reach reach(const IndexExpr& e) const {
    Reach r;
    for (const IndexTerm& t : e.terms) reach_symbol(t.symbol, r);
    return r;
  }
  TileIndex tile_index(const IndexExpr& e) const {
    TileIndex x;
    x.constant = e.constant;
    const SymbolId derived = k().derived_symbol(0);
    for (const IndexTerm& t : e.terms) {
      const bool tile =
          t.symbol >= derived && derived_[static_cast<size_t>(t.symbol - derived)].varying;
      if (tile) {
        x.tiles.push_back({derived_[static_cast<size_t>(t.symbol - derived)].reg, t.coefficient});
        continue;
      }
      x.terms.push_back(t);
      if (t.symbol == p_.vector) x.step = t.coefficient;
    }
    return x;
  }

  void plan_derived(int i) {
    const DerivedSymbol& d = k().derived[static_cast<size_t>(i)];
    const Reach r = reach(d.numerator);
    p_.derived.push_back({tile_index(d.numerator), d.divisor, k().derived_symbol(i)});
    TileStep s;
    s.kind = r.varying ? TileStep::Kind::DeriveTile : TileStep::Kind::DeriveScalar;
    s.varying = r.varying;
    s.item = i;
    if (r.varying) s.out = new_register(8, true);
    derived_.push_back({s.out, r.varying, r.level, -1});
    push(r.level, s);
  }

  int32_t plan_guard(GuardId id, Reach& r) {
    const Guard& g = k().guards[static_cast<size_t>(id)];
    const Reach own = reach(g.index);
    r.add(own.varying, own.level);
    TileGuard t{tile_index(g.index), g.limit, g.multiple_of, false};
    t.interval = t.index.tiles.empty() && t.index.step % g.multiple_of == 0;
    p_.guards.push_back(std::move(t));
    return static_cast<int32_t>(p_.guards.size()) - 1;
  }

  TileAccess plan_access(const Access& a, Reach& r) {
    TileAccess t;
    const DType type = k().operands[static_cast<size_t>(a.operand)].dtype;
    t.operand = a.operand;
    t.bytes = static_cast<int>(byte_size(type));
    if (type == DType::f16) t.convert = table_.f16_load;
    if (type == DType::bf16) t.convert = table_.bf16_load;
    const Reach own = reach(a.offset);
    r.add(own.varying, own.level);
    t.offset = tile_index(a.offset);
    for (const IndirectTerm& term : a.indirect) {
      const Reg wide = integer_register(term.value);
      const Value& v = value(term.value);
      r.add(v.varying, v.level);
      (v.varying ? t.offset.tiles : t.offset.scalars).push_back({wide, term.stride});
    }
    return t;
  }

  // The value as i64.
  Reg integer_register(ScalarId id) {
    const DType type = k().body[static_cast<size_t>(id)].type;
    if (compute_type(type) == DType::i64 || compute_type(type) == DType::u64) return value(id).reg;
    TileStep s;
    s.varying = value(id).varying;
    s.fn = table_.cast_value(type, DType::i64);
    s.in[0] = value(id).reg;
    s.out = new_register(8, s.varying);
    push(value(id).level, s);
    return s.out;
  }

  // ---- body

  // Where a value that could be computed at `r.level` is computed.
  Level place(size_t i, const Reach& r, bool touches_stored) const {
    const bool pre = static_cast<int32_t>(i) < k().pre;
    const Level own = pre ? Level::Step : Level::Post;
    const bool pinned = touches_stored && k().core != Core::Map && k().core != Core::Reduce;
    if (pinned || (pre && k().steps() == 0)) return own;
    if (!pre && (r.varying || r.level > Level::Row)) return Level::Post;
    return r.level;
  }

  void plan_instruction(size_t i) {
    const Instr& in = k().body[i];
    if (functions_[i].function >= 0) return plan_function(i);
    switch (in.op) {
      case Scalar::Const: return plan_constant(i);
      case Scalar::IndexValue: return plan_index(i);
      case Scalar::Load: return plan_load(i);
      case Scalar::GuardTest: return plan_guard_test(i);
      case Scalar::Acc: {
        const Reg acc = accumulators_[static_cast<size_t>(in.integer)];
        values_[i] = {acc, p_.registers[static_cast<size_t>(acc)].varying, Level::Post, -1};
        return;
      }
      default: return plan_compute(i);
    }
  }

  void plan_constant(size_t i) {
    const Instr& in = k().body[i];
    const Reg reg = new_register(width(in.type), false);
    p_.registers.back().constant = true;
    p_.registers.back().offset = static_cast<int64_t>(p_.constants.size());
    p_.constants.push_back(scalar::constant_bits(in.type, in.number, in.integer));
    values_[i] = {reg, false, Level::Call, -1};
  }

  void finish(size_t i, TileStep s, const Reach& r, bool touches_stored) {
    s.varying = r.varying;
    if (s.out < 0) s.out = new_register(width(k().body[i].type), r.varying);
    const Level level = place(i, r, touches_stored);
    values_[i] = {s.out, r.varying, level, -1};
    push(level, s);
  }

  void plan_index(size_t i) {
    const Instr& in = k().body[i];
    TileStep s;
    s.kind = TileStep::Kind::Index;
    s.item = static_cast<int32_t>(p_.indices.size());
    s.fn = compute_type(in.type) == DType::i64 ? nullptr : table_.cast_value(DType::i64, in.type);
    p_.indices.push_back(tile_index(in.index));
    finish(i, s, reach(in.index), false);
  }

  void plan_guard_test(size_t i) {
    TileStep s;
    s.kind = TileStep::Kind::GuardTest;
    s.item = static_cast<int32_t>(p_.guard_tests.size());
    Reach r;
    std::vector<int32_t> guards;
    for (GuardId g : k().body[i].guards) guards.push_back(plan_guard(g, r));
    p_.guard_tests.push_back(std::move(guards));
    finish(i, s, r, false);
  }

  void plan_load(size_t i) {
    const Instr& in = k().body[i];
    Reach r;
    TileAccess a = plan_access(in.access, r);
    for (GuardId g : in.guards) a.guards.push_back(plan_guard(g, r));
    const bool stored = std::ranges::find(stored_, in.access.operand) != stored_.end();
    // Where stores run between the reduction's steps, a tile that lies in memory could be
    // overwritten before its last use; with several stores, by the first of them.
    const bool in_order = k().core == Core::Map || k().core == Core::Reduce;
    a.direct = in_order && a.convert == nullptr && (k().stores.size() < 2 || !is_stored_value(i));
    TileStep s;
    s.kind = TileStep::Kind::Load;
    s.item = static_cast<int32_t>(p_.accesses.size());
    p_.accesses.push_back(std::move(a));
    finish(i, s, r, stored);
  }
  bool is_stored_value(size_t i) const {
    return std::ranges::any_of(k().stores, [&](const Store& s) {
      ScalarId v = s.value;  // a bitcast lies where its operand does
      while (v != static_cast<ScalarId>(i) &&
             k().body[static_cast<size_t>(v)].op == Scalar::Bitcast)
        v = k().body[static_cast<size_t>(v)].args[0];
      return v == static_cast<ScalarId>(i);
    });
  }

  void plan_compute(size_t i) {
    const Instr& in = k().body[i];
    if (in.op == Scalar::Bitcast) {
      values_[i] = value(in.args[0]);
      return;
    }
    if (const auto c = choice(i)) return plan_choice(i, *c);
    Reach r;
    const int operands = info(in.op).operands;
    for (int a = 0; a < operands; ++a) {
      const Value& v = value(in.args[static_cast<size_t>(a)]);
      r.add(v.varying, v.level);
    }
    TileStep s;
    s.fn = function(in, r.varying, s.in);
    if (compute_type(in.type) == DType::f32) s.links = links_of(in.op);
    finish(i, s, r, false);
  }

  // A selection in f32 by a comparison, between values of which the comparison has one: a step of
  // its own for both.
  struct Choice {
    Scalar compare;
    std::array<ScalarId, 3> operands;
    int if_true, if_false;
  };
  std::optional<Choice> choice(size_t i) const {
    const Instr& in = k().body[i];
    if (in.op != Scalar::Select || compute_type(in.type) != DType::f32) return std::nullopt;
    const Instr& test = k().body[static_cast<size_t>(in.args[0])];
    if ((test.op != Scalar::Lt && test.op != Scalar::Le) ||
        compute_type(k().body[static_cast<size_t>(test.args[0])].type) != DType::f32)
      return std::nullopt;
    Choice c{test.op, {test.args[0], test.args[1], -1}, 0, 0};
    const auto operand = [&](ScalarId id) {
      for (int a = 0; a < 2; ++a)
        if (c.operands[static_cast<size_t>(a)] == id) return a;
      if (c.operands[2] < 0) c.operands[2] = id;
      return c.operands[2] == id ? 2 : -1;
    };
    c.if_true = operand(in.args[1]), c.if_false = operand(in.args[2]);
    if (c.if_true < 0 || c.if_false < 0) return std::nullopt;
    if (table_.choose(c.compare, c.if_true, c.if_false, 0) == nullptr) return std::nullopt;
    return c;
  }
  void plan_choice(size_t i, const Choice& c) {
    plan_step(
        i, c.operands,
        [&](int uniform) { return table_.choose(c.compare, c.if_true, c.if_false, uniform); },
        links_of_choice(c.compare, c.if_true, c.if_false));
  }

  void plan_function(size_t i) {
    const FunctionUse& f = functions_[i];
    plan_step(i, f.operands, [&](int uniform) { return table_.function(f.function, uniform); });
  }

  // A step with a variant for every choice of uniform operands but all.
  template <class Operands, class Find>
  void plan_step(size_t i, const Operands& operands, Find&& find,
                 const std::array<LinkOp, 3>& links = {}) {
    Reach r;
    for (const ScalarId id : operands)
      if (id >= 0) r.add(value(id).varying, value(id).level);
    TileStep s;
    int uniform = 0, a = 0;
    for (const ScalarId id : operands) {
      if (id < 0) continue;
      if (r.varying && !value(id).varying) uniform |= 1 << a;
      s.in[a++] = value(id).reg;
    }
    s.fn = find(uniform);
    s.links = links;
    finish(i, s, r, false);
  }

  // The loop for an instruction, its inputs in `in`: uniform inputs as they are where a variant
  // for them exists, as tiles otherwise.
  TileFn function(const Instr& in, bool varying, Reg* regs) {
    const int operands = info(in.op).operands;
    const ScalarId typed = in.args[in.op == Scalar::Select ? 1 : 0];
    const DType type = k().body[static_cast<size_t>(typed)].type;
    int uniform = 0;
    for (int a = 0; a < operands; ++a) {
      const ScalarId id = in.args[static_cast<size_t>(a)];
      regs[a] = value(id).reg;
      if (varying && !value(id).varying) uniform |= 1 << a;
    }
    if (in.op == Scalar::Cast) return table_.cast_value(type, in.type);
    if (TileFn f = table_.op(in.op, type, uniform)) return f;
    for (int a = 0; a < operands; ++a)
      if ((uniform >> a & 1) != 0) regs[a] = tile_of(in.args[static_cast<size_t>(a)]);
    TileFn f = table_.op(in.op, type, 0);
    LATHE_ASSERT(f != nullptr, "scalar {} of {}", name(in.op), name(type));
    return f;
  }

  // The register of `id` as a tile.
  Reg tile_of(ScalarId id) {
    Value& v = values_[static_cast<size_t>(id)];
    if (v.varying) return v.reg;
    if (v.splat >= 0) return v.splat;
    TileStep s;
    s.kind = TileStep::Kind::Splat;
    s.varying = true;
    s.bytes = static_cast<uint8_t>(width(k().body[static_cast<size_t>(id)].type));
    s.in[0] = v.reg;
    s.out = v.splat = new_register(s.bytes, true);
    push(v.level, s);
    return v.splat;
  }

  // ---- reductions and stores

  void plan_accumulator(size_t i) {
    const Reduction& r = k().reductions[i];
    const bool varying = p_.vector >= 0 && !p_.along_reduction;
    accumulators_.push_back(new_register(width(r.type), varying));
    Register& reg = p_.registers.back();
    reg.lanes = k().order == Order::Lanes ? kLanes : 1;
    reg.external = external_;
    TileFold f;
    f.acc = accumulators_.back();
    f.bytes = width(r.type);
    f.identity = scalar::combine_identity(r.combine, r.type);
    f.fma = is_fma(r.combine);
    f.flush = r.combine == Combine::FmaFlush;
    f.join = combine_fn(scalar::join(r.combine), r.type, 0);
    p_.folds.push_back(f);
  }

  // As a tile function of (acc, a), or of (a, b, acc) for Fma and FmaFlush. Null for Assign: a
  // copy.
  TileFn combine_fn(Combine c, DType type, int uniform) const {
    switch (c) {
      case Combine::Add: return table_.op(Scalar::Add, type, uniform);
      case Combine::Max: return table_.op(Scalar::Max, type, uniform);
      case Combine::Min: return table_.op(Scalar::Min, type, uniform);
      case Combine::Mul: return table_.op(Scalar::Mul, type, uniform);
      case Combine::And: return table_.op(Scalar::And, type, uniform);
      case Combine::Or: return table_.op(Scalar::Or, type, uniform);
      case Combine::Fma:
      case Combine::FmaFlush: return table_.op(Scalar::Fma, type, uniform);
      case Combine::Assign: return nullptr;
    }
    return nullptr;
  }

  void plan_fold(size_t i) {
    const Reduction& r = k().reductions[i];
    TileFold& f = p_.folds[i];
    const bool tiles = p_.vector >= 0;
    f.a = value(r.a).reg;
    if (r.b >= 0) f.b = value(r.b).reg;
    if (p_.along_reduction) {
      f.along = k().order == Order::Lanes ? table_.fold_lanes(r.combine, r.type)
                                          : table_.fold_sequential(r.combine, r.type);
    } else {
      const bool ua = tiles && !value(r.a).varying, ub = tiles && r.b >= 0 && !value(r.b).varying;
      const int uniform = f.fma ? (ua ? 1 : 0) | (ub ? 2 : 0) : ua ? 2 : 0;
      f.tile = combine_fn(r.combine, r.type, uniform);
      if (f.tile != nullptr) return;
      f.tile = combine_fn(r.combine, r.type, 0);
    }
    if (!tiles) return;
    f.a = tile_of(r.a);
    if (r.b >= 0) f.b = tile_of(r.b);
  }

  void plan_store(const Store& s) {
    TileStore t;
    Reach r;
    t.access = plan_access(s.access, r);
    const DType from = k().body[static_cast<size_t>(s.value)].type;
    const DType to = k().operands[static_cast<size_t>(s.access.operand)].dtype;
    t.varying = r.varying || value(s.value).varying;
    t.value = t.varying ? tile_of(s.value) : value(s.value).reg;
    if (!same_storage(from, to)) t.convert = table_.cast_store(from, to);
    if (s.combine != Combine::Assign) {
      LATHE_ASSERT(compute_type(from) == compute_type(to), "combining store of {} into {}",
                   name(from), name(to));
      t.combine = combine_fn(s.combine, to, 0);
    }
    p_.stores.push_back(std::move(t));
  }

  const Table& table_;
  bool external_;
  Plan p_;
  std::vector<bool> used_;
  std::vector<FunctionUse> functions_;
  std::vector<Value> values_, derived_;
  std::vector<Reg> accumulators_;
  std::vector<int32_t> stored_;
};

}  // namespace

Plan make_plan(Canonical c, const Table& table, SymbolId vector, bool external_accumulators) {
  if (vector < 0) vector = choose_vector(c.kernel, c.parallel);
  return Planner(std::move(c), table, vector, external_accumulators).run();
}

}  // namespace lathe::simd
