#include <charconv>
#include <map>

#include "ir/graph_text.h"
#include "ir/op.h"
#include "ir/scanner.h"

namespace lathe {
namespace {

// Bounds on what a hostile text can make us do; real graphs stay far below.
constexpr int kMaxDepth = 40;  // of regions
constexpr size_t kMaxRank = 32;
constexpr size_t kMaxDimTokens = 200;

template <size_t... I>
Attrs empty_attrs(size_t index, std::index_sequence<I...>) {
  Attrs out;
  ((index == I ? void(out = std::variant_alternative_t<I, Attrs>{}) : void()), ...);
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : in_(text) {}

  Graph run() {
    Graph g = graph(0);
    if (!in_.token().empty()) in_.error("the end");
    return g;
  }

 private:
  using Names = std::map<std::string, uint32_t, std::less<>>;  // to nodes

  Graph graph(int depth) {
    if (depth > kMaxDepth) in_.refuse(fmt::format("regions are nested deeper than {}", kMaxDepth));
    in_.expect("graph");
    in_.expect("@");
    Graph g(word_or_string("a graph's name"));
    Names names;
    inputs(g, names);
    in_.expect("-");
    in_.expect(">");
    const Scanner before = in_;
    const Types results = types();
    in_.expect("{");
    while (in_.at("%")) statement(g, names, depth);
    in_.expect("return");
    if (in_.at("%")) do
        output(g, names);
      while (in_.accept(","));
    in_.expect("}");
    Types given;
    for (const GraphOutput& out : g.outputs()) given.push_back(g.type(out.value));
    check_types(before, results, given);
    return g;
  }

  void inputs(Graph& g, Names& names) {
    in_.expect("(");
    if (in_.accept(")")) return;
    do {
      in_.expect("%");
      const Scanner before = in_;
      std::string name = new_name(names);
      in_.expect(":");
      TensorType t = type();
      const InputRole role = in_.accept("parameter") ? InputRole::Parameter
                             : in_.accept("state")   ? InputRole::State
                                                     : InputRole::Data;
      std::string model_name = in_.at_string() ? take_string(in_) : name;
      names[name] = placed(before, [&] {
                      return g.add_input(std::move(model_name), std::move(t), role);
                    }).node;
    } while (in_.accept(","));
    in_.expect(")");
  }

  void statement(Graph& g, Names& names, int depth) {
    in_.expect("%");
    const std::string name = new_name(names);
    in_.expect("=");
    const Scanner before = in_;
    const std::optional<OpId> op = find_op(in_.token());
    if (!op || op == OpId::parameter) in_.error("an op");
    in_.advance();
    const OpDef& def = op_def(*op);
    std::vector<Value> operands;
    if (in_.at("%")) do
        operands.push_back(value(g, names));
      while (in_.accept(","));
    Attrs attributes = attrs(def.attrs);
    in_.expect(":");
    const Scanner at_types = in_;
    const Types stated = types();
    std::string model_name = in_.at_string() ? take_string(in_) : "";
    std::vector<Region> regions;
    while (in_.at("graph")) regions.push_back(std::make_shared<const Graph>(graph(depth + 1)));
    if (static_cast<int>(regions.size()) != def.regions)
      before.refuse(
          fmt::format("{} has {} regions, {} expected", def.name, regions.size(), def.regions));
    const Value v = placed(before, [&] {
      return g.add(*op, std::move(operands), std::move(attributes), std::move(regions),
                   std::move(model_name));
    });
    check_types(at_types, stated, g.node(v).types);
    names[name] = v.node;
  }

  void output(Graph& g, const Names& names) {
    const Scanner before = in_;
    const Value v = value(g, names);
    std::string name = in_.at_string() ? take_string(in_) : "";
    int updates = -1;
    if (in_.accept("updates")) {
      const Scanner at_input = in_;
      const uint32_t node = value(g, names).node;
      for (size_t i = 0; i < g.inputs().size(); ++i)
        if (g.inputs()[i].value.node == node) updates = static_cast<int>(i);
      if (updates < 0) at_input.refuse("only an input is updated");
    }
    placed(before, [&] {
      g.add_output(std::move(name), v, updates);
      return v;
    });
  }

  // Runs `add`; what it refuses is reported at `place`.
  template <class F>
  static Value placed(const Scanner& place, F&& add) {
    try {
      return add();
    } catch (const Error& e) {
      place.refuse(e.what());
    }
  }

  static void check_types(const Scanner& place, const Types& stated, const Types& actual) {
    if (stated == actual) return;
    std::string shown;
    for (const TensorType& t : actual) shown.append(shown.empty() ? "" : ", ").append(t.text());
    place.refuse(fmt::format("the type is ({})", shown));
  }

  std::string word_or_string(const char* what) {
    if (in_.at_string()) return take_string(in_);
    if (!in_.at_word()) in_.error(what);
    std::string name(in_.token());
    in_.advance();
    return name;
  }

  // After '%': a word or digits.
  std::string value_name() {
    const std::string_view t = in_.token();
    const bool digits = t.find_first_not_of("0123456789") == std::string_view::npos;
    if (t.empty() || (!in_.at_word() && !digits)) in_.error("a value's name");
    in_.advance();
    return std::string(t);
  }

  std::string new_name(const Names& names) {
    const Scanner before = in_;
    std::string name = value_name();
    if (names.contains(name)) before.refuse(fmt::format("%{} is defined twice", name));
    return name;
  }

  Value value(const Graph& g, const Names& names) {
    in_.expect("%");
    const Scanner before = in_;
    const std::string name = value_name();
    const auto found = names.find(name);
    if (found == names.end()) before.refuse(fmt::format("%{} is not defined", name));
    Value v{found->second, 0};
    if (in_.accept("#")) v.result = static_cast<uint32_t>(bounded(UINT32_MAX));
    const size_t results = g.nodes()[v.node].types.size();
    if (v.result >= results) before.refuse(fmt::format("%{} has {} results", name, results));
    return v;
  }

  int64_t bounded(int64_t limit) {
    const Scanner before = in_;
    const int64_t v = integer();
    if (v < 0 || v > limit) before.error(fmt::format("an integer up to {}", limit));
    return v;
  }

  // The magnitude of an integer; `negative` is its sign.
  uint64_t digits(bool& negative) {
    negative = in_.accept("-");
    const std::string_view t = in_.token();
    uint64_t v = 0;
    const auto [end, status] = std::from_chars(t.data(), t.data() + t.size(), v);
    if (t.empty() || status != std::errc() || end != t.data() + t.size())
      in_.error("a 64-bit integer");
    in_.advance();
    return v;
  }
  int64_t integer() {
    const Scanner before = in_;
    bool negative = false;
    const uint64_t v = digits(negative);
    if (v > static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0)) before.error("a 64-bit integer");
    return static_cast<int64_t>(negative ? 0 - v : v);
  }

  template <class T>
  T floating() {
    const T sign = in_.accept("-") ? -1 : 1;
    const std::string_view t = in_.token();
    T v = 0;
    const auto [end, status] = std::from_chars(t.data(), t.data() + t.size(), v);
    if (t.empty() || status != std::errc() || end != t.data() + t.size() ||
        (!in_.at_number() && t != "inf" && t != "nan"))
      in_.error(fmt::format("a number of {}", name(DTypeOf<T>::value)));
    in_.advance();
    return sign * v;
  }

  DType dtype() {
    const std::optional<DType> t = parse_dtype(in_.token());
    if (!t) in_.error("an element type such as f32");
    in_.advance();
    return *t;
  }

  // Tokens up to the end of a list's element. Products of sums are refused, they could grow without
  // bound; no dim prints that way.
  Dim dim() {
    const Scanner before = in_;
    std::string text;
    int depth = 0;
    bool after_floordiv = false;
    for (size_t count = 0;; ++count) {
      if (depth == 0 && (in_.at(",") || in_.at("]") || in_.at("}"))) break;
      if (in_.token().empty() || count > kMaxDimTokens || (in_.at("(") && !after_floordiv))
        before.error("a dimension such as 3, batch or 2*length+1");
      depth += in_.at("(") ? 1 : in_.at(")") ? -1 : 0;
      after_floordiv = in_.at("floordiv");
      text += " ";
      text += in_.token();
      in_.advance();
    }
    Result<Dim> d = placed_dim(before, text);
    if (!d) before.error("a dimension such as 3, batch or 2*length+1");
    return *std::move(d);
  }
  static Result<Dim> placed_dim(const Scanner& place, const std::string& text) {
    try {
      return Dim::parse(text);
    } catch (const Error& e) {
      place.refuse(e.what());
    }
  }

  template <class F>
  void list(F&& element) {
    in_.expect("[");
    if (in_.accept("]")) return;
    do element();
    while (in_.accept(","));
    in_.expect("]");
  }

  TensorType type() {
    const DType t = dtype();
    Shape shape;
    read(shape);
    return {t, std::move(shape)};
  }

  Types types() {
    Types out;
    if (!in_.accept("(")) return {type()};
    if (in_.accept(")")) return out;
    do out.push_back(type());
    while (in_.accept(","));
    in_.expect(")");
    return out;
  }

  // Attribute fields, by their C++ type.
  void read(int64_t& v) { v = integer(); }
  void read(double& v) { v = floating<double>(); }
  void read(DType& v) { v = dtype(); }
  void read(Dim& v) { v = dim(); }
  void read(bool& v) {
    v = in_.at("true");
    if (!in_.accept("true") && !in_.accept("false")) in_.error("true or false");
  }
  void read(std::string& v) {
    if (!in_.at_string()) in_.error("a string");
    v = take_string(in_);
  }
  template <class T>
  void read(std::vector<T>& v) {
    const Scanner before = in_;
    v.clear();
    list([&] { read(v.emplace_back()); });
    if (v.size() > kMaxRank) before.error(fmt::format("at most {} axes", kMaxRank));
  }
  void read(Shape& v) {
    std::vector<Dim> dims;
    read(dims);
    v = Shape(std::move(dims));
  }
  void read(Tensor& v) {
    const Scanner before = in_;
    const DType t = dtype();
    Dims dims;
    read(dims);
    int64_t count = 0;
    placed(before, [&] {
      count = element_count(dims);
      return Value{};
    });
    in_.expect("(");
    v = in_.accept("hex") ? bytes(t, std::move(dims), count) : elements(t, std::move(dims), count);
    in_.expect(")");
  }

  // Nothing is allocated before the text has shown as many values.
  Tensor bytes(DType t, Dims dims, int64_t count) {
    const std::string_view text = in_.token();
    const auto size = static_cast<uint64_t>(count) * static_cast<uint64_t>(byte_size(t));
    if (!in_.at_string() || text.size() - 2 != 2 * size)
      in_.error(fmt::format("a string of {} hexadecimal digits", 2 * size));
    Tensor v = Tensor::empty(t, std::move(dims));
    auto* out = static_cast<unsigned char*>(v.mutable_raw());
    for (size_t i = 0; i < size; ++i) {
      const char* at = text.data() + 1 + 2 * i;
      if (std::from_chars(at, at + 2, out[i], 16).ptr != at + 2 ||
          (t == DType::boolean && out[i] > 1))
        in_.error("bytes of the element type as hexadecimal digits");
    }
    in_.advance();
    return v;
  }

  Tensor elements(DType t, Dims dims, int64_t count) {
    if (in_.at(".")) in_.refuse("the values of this constant were left out when it was printed");
    const Scanner before = in_;
    std::vector<double> floats;
    std::vector<int64_t> integers;
    int64_t given = 0;
    if (!in_.at(")")) do {
        if (t == DType::f64) floats.push_back(floating<double>());
        else if (is_float(t)) floats.push_back(static_cast<double>(floating<float>()));
        else integers.push_back(element_integer(t));
        ++given;
      } while (in_.accept(","));
    if (given != count) before.refuse(fmt::format("{} values, {} expected", given, count));
    Tensor v = Tensor::empty(t, std::move(dims));
    for (size_t i = 0; i < floats.size(); ++i) v.set(static_cast<int64_t>(i), floats[i]);
    for (size_t i = 0; i < integers.size(); ++i) v.set_int(static_cast<int64_t>(i), integers[i]);
    return v;
  }

  // u64: its bits.
  int64_t element_integer(DType t) {
    const Scanner before = in_;
    bool negative = false;
    const uint64_t magnitude = digits(negative);
    const auto v = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
    Tensor probe = Tensor::empty(t, {});
    probe.set_int(0, v);
    const bool sign_fits = t == DType::u64 ? !negative || v == 0 : (v < 0) == (negative && v != 0);
    if (probe.int_at(0) != v || !sign_fits) before.error(fmt::format("a number of {}", name(t)));
    return v;
  }

  Attrs attrs(size_t index) {
    Attrs out = empty_attrs(index, std::make_index_sequence<std::variant_size_v<Attrs>>());
    std::visit([&](auto& a) { fields(a); }, out);
    return out;
  }

  // All fields, in the order of the struct.
  template <class T>
  void fields(T& a) {
    bool first = true;
    T::fields(a, [&](const char* field, auto& v) {
      in_.expect(first ? "{" : ",");
      in_.expect(field);
      in_.expect("=");
      read(v);
      first = false;
    });
    if (!first) in_.expect("}");
  }

  Scanner in_;
};

}  // namespace

Result<Graph> parse_graph(std::string_view text) {
  try {
    return Parser(text).run();
  } catch (const Error& e) {
    return Failure{e.what()};
  }
}

}  // namespace lathe
