#include <fmt/format.h>

#include <cmath>

#include "ir/base/hash.h"
#include "ir/kernel_names.h"
#include "ir/kernel_text.h"

namespace lathe {
namespace {

class Printer {
 public:
  explicit Printer(const Kernel& k) : k_(k) {}

  std::string run() {
    text_ = fmt::format("kernel {}{}{} {{\n", name(k_.core), k_.exclusive ? " exclusive" : "",
                        k_.order == Order::Lanes ? " lanes" : "");
    space();
    const auto pre = static_cast<size_t>(k_.pre);
    for (size_t i = 0; i < pre; ++i) scalar(i);
    for (const Reduction& r : k_.reductions) {
      line("fold {} {} %{}", name(r.combine), name(r.type), r.a);
      if (r.b >= 0) append(", %{}", r.b);
      if (r.padded) append(" padded");
    }
    if (pre > 0 || !k_.reductions.empty()) line("then");
    for (size_t i = pre; i < k_.body.size(); ++i) scalar(i);
    for (const Store& s : k_.stores) {
      line("store ");
      if (s.combine != Combine::Assign) append("{} ", name(s.combine));
      append("{} = %{}", access(s.access), s.value);
    }
    return text_ + "}\n";
  }

 private:
  template <class... Args>
  void append(fmt::format_string<Args...> format, Args&&... args) {
    text_.pop_back();
    text_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    text_ += "  " + fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  void space() {
    for (size_t i = 0; i < k_.operands.size(); ++i) {
      const Operand& o = k_.operands[i];
      line("a{} = {} {}[{}]", i, name(o.role), name(o.dtype), o.size);
    }
    if (!k_.par.empty()) line("par {}", fmt::join(k_.par, " "));
    if (!k_.red.empty()) line("red {}", fmt::join(k_.red, " "));
    for (size_t i = 0; i < k_.derived.size(); ++i)
      line("d{} = ({}) / {}", i, expression(k_.derived[i].numerator), k_.derived[i].divisor);
    for (size_t i = 0; i < k_.guards.size(); ++i) {
      const Guard& g = k_.guards[i];
      line("g{} = 0 <= {} < {}", i, expression(g.index), g.limit);
      if (g.multiple_of != 1) append(" multiple of {}", g.multiple_of);
    }
  }

  void scalar(size_t id) {
    const Instr& in = k_.body[id];
    line("%{} = {} {}", id, name(in.op), name(in.type));
    switch (in.op) {
      case Scalar::Const: append(" {}", constant(in)); break;
      case Scalar::IndexValue: append(" [{}]", expression(in.index)); break;
      case Scalar::Load: append(" {}", access(in.access)); break;
      case Scalar::Acc: append(" {}", in.integer); break;
      default: break;
    }
    for (size_t i = 0; i < static_cast<size_t>(info(in.op).operands); ++i)
      append("{}%{}", i == 0 ? " " : ", ", in.args[i]);
    for (size_t i = 0; i < in.guards.size(); ++i)
      append("{}g{}", i == 0 ? " if " : ", ", in.guards[i]);
  }

  static std::string constant(const Instr& in) {
    if (!is_float(in.type)) return fmt::format("{}", in.integer);
    return std::isnan(in.number) ? "nan" : fmt::format("{}", in.number);
  }

  std::string symbol(SymbolId s) const {
    if (s < k_.red_symbol(0)) return fmt::format("p{}", s);
    if (s < k_.derived_symbol(0)) return fmt::format("r{}", s - k_.red_symbol(0));
    return fmt::format("d{}", s - k_.derived_symbol(0));
  }

  // Adds " + 3*what"; the first of an expression stands without its plus.
  static void term(std::string& out, int64_t coefficient, const std::string& what) {
    const uint64_t size = coefficient < 0 ? 0 - static_cast<uint64_t>(coefficient)
                                          : static_cast<uint64_t>(coefficient);
    if (out.empty()) out += coefficient < 0 ? "-" : "";
    else out += coefficient < 0 ? " - " : " + ";
    if (what.empty()) out += fmt::format("{}", size);
    else out += size == 1 ? what : fmt::format("{}*{}", size, what);
  }

  std::string affine(const IndexExpr& e) const {
    std::string out;
    for (const IndexTerm& t : e.terms) term(out, t.coefficient, symbol(t.symbol));
    if (e.constant != 0) term(out, e.constant, "");
    return out;
  }
  std::string expression(const IndexExpr& e) const {
    const std::string out = affine(e);
    return out.empty() ? "0" : out;
  }
  std::string access(const Access& a) const {
    std::string offset = affine(a.offset);
    for (const IndirectTerm& t : a.indirect) term(offset, t.stride, fmt::format("%{}", t.value));
    return fmt::format("a{}[{}]", a.operand, offset.empty() ? "0" : offset);
  }

  const Kernel& k_;
  std::string text_;
};

}  // namespace

std::string print_kernel(const Kernel& k) { return Printer(k).run(); }

uint64_t hash_kernel(const Kernel& k) { return hash_text(print_kernel(k)); }

std::string print_schedule(const KernelSchedule& s) {
  std::string text = fmt::format("schedule parallel={} grain={} vector={} tile={}x{}", s.parallel,
                                 s.grain, s.vector, s.tile_m, s.tile_n);
  if (s.fetch >= 0) text += fmt::format(" fetch={} ahead={}", s.fetch, s.ahead);
  return text;
}

}  // namespace lathe
