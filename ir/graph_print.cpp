#include <algorithm>
#include <cmath>
#include <map>

#include "ir/graph_text.h"
#include "ir/op.h"
#include "ir/scanner.h"

namespace lathe {
namespace {

bool is_word(std::string_view s) {
  return !s.empty() && is_letter(s[0]) &&
         std::ranges::all_of(s, [](char c) { return is_letter(c) || is_digit(c); });
}

std::string bytes_text(const Tensor& t) {
  constexpr char digits[] = "0123456789abcdef";
  const auto* bytes = reinterpret_cast<const unsigned char*>(t.stored());
  std::string out;
  out.reserve(static_cast<size_t>(2 * t.bytes()));
  for (int64_t i = 0; i < t.bytes(); ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
  return out;
}

// Decimals read back exactly: the shortest that do in the type itself, or in f32 for those within.
std::string element_text(const Tensor& t, int64_t i) {
  if (t.dtype() == DType::u64) return fmt::format("{}", static_cast<uint64_t>(t.int_at(i)));
  if (!is_float(t.dtype())) return fmt::format("{}", t.int_at(i));
  if (t.dtype() == DType::f64) return fmt::format("{}", t.at(i));
  return fmt::format("{}", static_cast<float>(t.at(i)));
}

// A NaN is printed as bytes, because its payload counts.
bool prints_as_decimals(const Tensor& t) {
  if (t.size() > kSmallTensor) return false;
  for (int64_t i = 0; i < t.size(); ++i)
    if (std::isnan(t.at(i))) return false;
  return true;
}

struct FieldText {
  const GraphTextOptions& options;

  std::string operator()(int64_t v) const { return fmt::format("{}", v); }
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(double v) const { return std::isnan(v) ? "nan" : fmt::format("{}", v); }
  std::string operator()(DType v) const { return std::string(name(v)); }
  std::string operator()(const std::string& v) const { return quoted(v); }
  std::string operator()(const Dim& v) const { return v.text(); }
  std::string operator()(const Shape& v) const { return fmt::format("[{}]", v.text()); }
  template <class T>
  std::string operator()(const std::vector<T>& v) const {
    std::string out;
    for (const T& e : v) out.append(out.empty() ? "" : ",").append((*this)(e));
    return fmt::format("[{}]", out);
  }
  std::string operator()(const Tensor& v) const {
    std::string out = v.type_text() + "(";
    if (prints_as_decimals(v)) {
      for (int64_t i = 0; i < v.size(); ++i)
        out.append(i == 0 ? "" : ", ").append(element_text(v, i));
    } else if (options.elide_constants && v.size() > kSmallTensor) {
      out += "...";
    } else {
      out += fmt::format("hex \"{}\"", bytes_text(v));
    }
    return out + ")";
  }
};

std::string attrs_text(const Attrs& attrs, const GraphTextOptions& options) {
  std::string out;
  std::visit(
      [&]<class T>(const T& a) {
        T::fields(a, [&](const char* field, const auto& value) {
          out += fmt::format("{}{}={}", out.empty() ? "" : ", ", field, FieldText{options}(value));
        });
      },
      attrs);
  return out.empty() ? "" : fmt::format(" {{{}}}", out);
}

std::string types_text(const Types& types) {
  if (types.size() == 1) return types[0].text();
  std::string out;
  for (const TensorType& t : types) out.append(out.empty() ? "" : ", ").append(t.text());
  return fmt::format("({})", out);
}

constexpr std::string_view role_text(InputRole r) {
  return r == InputRole::Data ? "" : r == InputRole::Parameter ? " parameter" : " state";
}

class Printer {
 public:
  Printer(const Graph& g, const GraphTextOptions& options, std::string indent)
      : g_(g), options_(options), indent_(std::move(indent)), line_of_(g.nodes().size(), 0) {
    name_values();
  }

  std::string run() {
    header();
    for (uint32_t id = 0; id < g_.nodes().size(); ++id)
      if (!is_input_[id]) statement(id);
    returns();
    return std::move(text_);
  }
  const std::vector<size_t>& line_of() const { return line_of_; }

 private:
  // Inputs come first in the text wherever they are in the graph; `position_` is the order of the
  // text, and so of the graph that is read back.
  void name_values() {
    const size_t count = g_.nodes().size();
    names_.resize(count);
    position_.resize(count);
    is_input_.resize(count);
    std::map<std::string, int> uses;
    for (const GraphInput& in : g_.inputs()) ++uses[in.name];
    size_t position = 0;
    for (const GraphInput& in : g_.inputs()) {
      std::string name = in.name;
      if (!is_word(name) || uses[name] > 1) {
        name = fmt::format("in{}", position);
        while (uses.contains(name)) name += "_";
      }
      is_input_[in.value.node] = true;
      position_[in.value.node] = position++;
      names_[in.value.node] = std::move(name);
    }
    for (size_t id = 0, number = 0; id < count; ++id) {
      if (is_input_[id]) continue;
      position_[id] = position++;
      names_[id] = fmt::format("{}", number++);
    }
  }

  std::string value_text(Value v) const {
    if (v.node >= g_.nodes().size()) return "%?";
    const size_t results = g_.node(v).types.size();
    if (results == 1 && v.result == 0) return fmt::format("%{}", names_[v.node]);
    return fmt::format("%{}#{}", names_[v.node], v.result);
  }

  void header() {
    text_ =
        fmt::format("{}graph @{}(", indent_, is_word(g_.name()) ? g_.name() : quoted(g_.name()));
    bool first = true;
    for (const GraphInput& in : g_.inputs()) {
      const std::string& name = names_[in.value.node];
      text_ +=
          fmt::format("{}%{}: {}{}", first ? "" : ", ", name, in.type.text(), role_text(in.role));
      if (name != in.name) text_.append(" ").append(quoted(in.name));
      first = false;
    }
    Types results;
    for (const GraphOutput& out : g_.outputs())
      results.push_back(exists(out.value) ? g_.type(out.value) : TensorType{});
    text_ += fmt::format(") -> {} {{\n", types_text(results));
  }

  bool exists(Value v) const {
    return v.node < g_.nodes().size() && v.result < g_.node(v).types.size();
  }

  void statement(uint32_t id) {
    const Node& n = g_.nodes()[id];
    const OpDef& def = op_def(n.op);
    std::vector<Value> operands = n.operands;
    if (def.commutative && operands.size() >= 2 && exists(operands[0]) && exists(operands[1])) {
      const auto key = [&](Value v) { return std::pair(position_[v.node], v.result); };
      if (key(operands[1]) < key(operands[0])) std::swap(operands[0], operands[1]);
    }
    line_of_[id] = static_cast<size_t>(std::ranges::count(text_, '\n'));
    text_ += fmt::format("{}  %{} = {}", indent_, names_[id], def.name);
    for (size_t i = 0; i < operands.size(); ++i)
      text_.append(i == 0 ? " " : ", ").append(value_text(operands[i]));
    text_ += attrs_text(n.attrs, options_) + " : " + types_text(n.types);
    if (!n.name.empty()) text_.append(" ").append(quoted(n.name));
    text_ += "\n";
    for (const Region& r : n.regions) text_ += Printer(*r, options_, indent_ + "    ").run();
  }

  void returns() {
    text_ += indent_ + "  return";
    bool first = true;
    for (const GraphOutput& out : g_.outputs()) {
      text_.append(first ? " " : ", ").append(value_text(out.value));
      if (!out.name.empty()) text_.append(" ").append(quoted(out.name));
      if (out.updates >= 0 && static_cast<size_t>(out.updates) < g_.inputs().size())
        text_ += " updates %" + names_[g_.inputs()[static_cast<size_t>(out.updates)].value.node];
      first = false;
    }
    text_ += fmt::format("\n{}}}\n", indent_);
  }

  const Graph& g_;
  const GraphTextOptions& options_;
  const std::string indent_;
  std::string text_;
  std::vector<std::string> names_;
  std::vector<size_t> position_, line_of_;
  std::vector<bool> is_input_;
};

}  // namespace

std::string print_graph(const Graph& g, const GraphTextOptions& options) {
  return Printer(g, options, "").run();
}

std::string print_around(const Graph& g, uint32_t node, int reach) {
  const GraphTextOptions options{.elide_constants = true};
  Printer printer(g, options, "");
  const std::string text = printer.run();
  const auto middle = node < g.nodes().size() ? static_cast<int64_t>(printer.line_of()[node]) : 0;
  std::string out;
  int64_t line = 0;
  for (size_t begin = 0; begin < text.size(); ++line) {
    const size_t end = text.find('\n', begin);
    if (std::abs(line - middle) <= reach)
      out.append(line == middle ? "> " : "  ").append(text.substr(begin, end - begin)).append("\n");
    begin = end + 1;
  }
  return out;
}

}  // namespace lathe
