#include <charconv>
#include <map>
#include <string>

#include "ir/kernel_names.h"
#include "ir/kernel_text.h"
#include "ir/scanner.h"

namespace lathe {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : in_(text) {}

  Kernel kernel() {
    in_.expect("kernel");
    k_.core = named<Core>(kCoreNames, "map, reduce, cumulative or scatter");
    k_.exclusive = in_.accept("exclusive");
    if (in_.accept("lanes")) k_.order = Order::Lanes;
    in_.expect("{");
    space();
    scalars();
    while (in_.accept("fold")) fold();
    if (in_.accept("then")) {
      k_.pre = static_cast<int32_t>(k_.body.size());
      scalars();
    }
    while (in_.accept("store")) store();
    in_.expect("}");
    if (!in_.token().empty()) in_.error("the end");
    return std::move(k_);
  }

  KernelSchedule schedule() {
    KernelSchedule s;
    in_.expect("schedule");
    s.parallel = static_cast<int>(member("parallel", INT32_MAX));
    s.grain = member("grain", INT64_MAX);
    s.vector = static_cast<int>(member("vector", INT32_MAX));
    in_.expect("tile");
    in_.expect("=");
    s.tile_m = integer();
    if (in_.token().substr(0, 1) != "x") in_.error("'x'");
    s.tile_n = numbered('x', "the tile's second extent");
    if (in_.token() == "fetch") {
      s.fetch = static_cast<int>(member("fetch", INT32_MAX));
      s.ahead = member("ahead", INT64_MAX);
    }
    if (!in_.token().empty()) in_.error("the end");
    return s;
  }

 private:
  template <class E, size_t N>
  E named(const std::array<std::string_view, N>& names, std::string_view expected) {
    const std::optional<E> e = find_name<E>(names, in_.token());
    if (!e) in_.error(std::string(expected));
    in_.advance();
    return *e;
  }
  DType dtype() {
    const std::optional<DType> t = parse_dtype(in_.token());
    if (!t) in_.error("an element type such as f32");
    in_.advance();
    return *t;
  }
  int64_t member(std::string_view key, int64_t limit) {
    in_.expect(key);
    in_.expect("=");
    const int64_t v = integer();
    if (v > limit || v < -limit) in_.error("a smaller number before this");
    return v;
  }

  // Digits, with a minus before them where `negative`.
  int64_t magnitude(bool negative) {
    uint64_t v = 0;
    const std::string_view t = in_.token();
    const auto [end, status] = std::from_chars(t.data(), t.data() + t.size(), v);
    const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (t.empty() || status != std::errc() || end != t.data() + t.size() || v > limit)
      in_.error("a 64-bit integer");
    in_.advance();
    return static_cast<int64_t>(negative ? 0 - v : v);
  }
  int64_t integer() {
    const bool negative = in_.accept("-");
    return magnitude(negative);
  }
  double floating() {
    const double sign = in_.accept("-") ? -1 : 1;
    const std::string_view t = in_.token();
    double v = 0;
    const auto [end, status] = std::from_chars(t.data(), t.data() + t.size(), v);
    const bool word = t == "inf" || t == "nan";
    if (t.empty() || status != std::errc() || end != t.data() + t.size() ||
        (!word && !in_.at_number()))
      in_.error("a number");
    in_.advance();
    return sign * v;
  }

  // The number after a one-letter name such as p3.
  int32_t numbered(char letter, std::string_view expected) {
    const std::string_view t = in_.token();
    int32_t v = -1;
    if (t.size() >= 2 && t[0] == letter && is_digit(t[1])) {
      const auto [end, status] = std::from_chars(t.data() + 1, t.data() + t.size(), v);
      if (status != std::errc() || end != t.data() + t.size()) v = -1;
    }
    if (v < 0) in_.error(std::string(expected));
    in_.advance();
    return v;
  }
  // Likewise, of one of the `count` that are there.
  int32_t existing(char letter, size_t count, std::string_view what) {
    const std::string expected = count == 0
                                     ? fmt::format("no {}: there is none", what)
                                     : fmt::format("a {} up to {}{}", what, letter, count - 1);
    const Scanner before = in_;
    const int32_t v = numbered(letter, expected);
    if (static_cast<size_t>(v) >= count) before.error(expected);
    return v;
  }
  void next(char letter, size_t index) { in_.expect(fmt::format("{}{}", letter, index)); }

  bool at_numbered(char letter) const {
    const std::string_view t = in_.token();
    return t.size() >= 2 && t[0] == letter && is_digit(t[1]);
  }

  void space() {
    while (at_numbered('a')) operand();
    if (in_.accept("par"))
      while (in_.at_number()) k_.par.push_back(magnitude(false));
    if (in_.accept("red"))
      while (in_.at_number()) k_.red.push_back(magnitude(false));
    while (at_numbered('d')) derived();
    while (at_numbered('g')) guard();
  }

  void operand() {
    next('a', k_.operands.size());
    in_.expect("=");
    Operand o;
    o.role = named<OperandRole>(kRoleNames, "in, out or inout");
    o.dtype = dtype();
    in_.expect("[");
    o.size = magnitude(false);
    in_.expect("]");
    k_.operands.push_back(o);
  }

  void derived() {
    next('d', k_.derived.size());
    in_.expect("=");
    in_.expect("(");
    DerivedSymbol d;
    d.numerator = expression();
    in_.expect(")");
    in_.expect("/");
    d.divisor = magnitude(false);
    k_.derived.push_back(std::move(d));
  }

  void guard() {
    next('g', k_.guards.size());
    Guard g;
    for (std::string_view t : {"=", "0", "<", "="}) in_.expect(t);
    g.index = expression();
    in_.expect("<");
    g.limit = integer();
    if (in_.accept("multiple")) {
      in_.expect("of");
      g.multiple_of = magnitude(false);
    }
    k_.guards.push_back(std::move(g));
  }

  void scalars() {
    while (in_.accept("%")) scalar();
  }

  void scalar() {
    in_.expect(fmt::format("{}", k_.body.size()));
    in_.expect("=");
    Instr i;
    const std::optional<Scalar> op = parse_scalar(in_.token());
    if (!op) in_.error("a scalar function");
    in_.advance();
    i.op = *op;
    i.type = dtype();
    switch (i.op) {
      case Scalar::Const:
        is_float(i.type) ? void(i.number = floating()) : void(i.integer = integer());
        break;
      case Scalar::IndexValue:
        in_.expect("[");
        i.index = expression();
        in_.expect("]");
        break;
      case Scalar::Load: i.access = access(); break;
      case Scalar::Acc: i.integer = magnitude(false); break;
      default: break;
    }
    for (size_t a = 0; a < static_cast<size_t>(info(i.op).operands); ++a) {
      if (a > 0) in_.expect(",");
      i.args[a] = reference();
    }
    if ((i.op == Scalar::Load || i.op == Scalar::GuardTest) && in_.accept("if")) do {
        i.guards.push_back(existing('g', k_.guards.size(), "guard"));
      } while (in_.accept(","));
    k_.body.push_back(std::move(i));
  }

  // "%3", a scalar that has been defined.
  ScalarId reference() {
    in_.expect("%");
    return reference_number();
  }
  ScalarId reference_number() {
    const Scanner before = in_;
    const int64_t id = magnitude(false);
    if (id >= static_cast<int64_t>(k_.body.size()))
      before.error(fmt::format("the number of one of the {} scalars above", k_.body.size()));
    return static_cast<ScalarId>(id);
  }

  void fold() {
    Reduction r;
    r.combine = named<Combine>(kCombineNames, "a combination such as add");
    r.type = dtype();
    r.a = reference();
    if (in_.accept(",")) r.b = reference();
    r.padded = in_.accept("padded");
    k_.reductions.push_back(r);
  }

  void store() {
    Store s;
    if (!at_numbered('a')) s.combine = named<Combine>(kCombineNames, "an operand such as a0");
    s.access = access();
    in_.expect("=");
    s.value = reference();
    k_.stores.push_back(std::move(s));
  }

  Access access() {
    Access a;
    a.operand = existing('a', k_.operands.size(), "operand");
    in_.expect("[");
    a.offset = sum(&a.indirect);
    in_.expect("]");
    return a;
  }

  IndexExpr expression() { return sum(nullptr); }

  // Terms joined by + and -; those of scalars go to `indirect`, where that is allowed.
  IndexExpr sum(std::vector<IndirectTerm>* indirect) {
    std::map<SymbolId, int64_t> coefficients;  // -1: the constant
    bool negative = in_.accept("-");
    while (true) {
      const bool counted = in_.at_number();
      const int64_t factor = counted ? magnitude(negative) : (negative ? -1 : 1);
      const bool constant = counted && !in_.accept("*");
      if (!constant && indirect != nullptr && in_.accept("%")) {
        indirect->push_back({reference_number(), factor});
      } else {
        int64_t& c = coefficients[constant ? -1 : symbol()];
        if (__builtin_add_overflow(c, factor, &c)) in_.error("smaller numbers before this");
      }
      negative = in_.at("-");
      if (!in_.accept("-") && !in_.accept("+")) break;
    }
    IndexExpr e(coefficients.contains(-1) ? coefficients[-1] : 0);
    for (const auto& [s, c] : coefficients)
      if (s >= 0 && c != 0) e.terms.push_back({s, c});
    return e;
  }

  SymbolId symbol() {
    if (at_numbered('p')) return existing('p', k_.par.size(), "parallel iv");
    if (at_numbered('r')) return k_.red_symbol(existing('r', k_.red.size(), "reduction iv"));
    if (at_numbered('d'))
      return k_.derived_symbol(existing('d', k_.derived.size(), "derived symbol"));
    in_.error("an index symbol such as p0");
  }

  Scanner in_;
  Kernel k_;
};

}  // namespace

Result<Kernel> parse_kernel(std::string_view text) {
  try {
    return Parser(text).kernel();
  } catch (const Error& e) {
    return Failure{e.what()};
  }
}

Result<KernelSchedule> parse_schedule(std::string_view text) {
  try {
    return Parser(text).schedule();
  } catch (const Error& e) {
    return Failure{e.what()};
  }
}

}  // namespace lathe
