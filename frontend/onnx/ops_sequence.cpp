// Sequences and optionals. Their structure is known while tracing, so these rows only take values
// apart and put them together.
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

const std::vector<Value>& items(OpContext& c, int i) {
  const Value& v = c.input(i);
  if (v.kind != Value::Kind::Sequence)
    fail("its input {} is {}, a sequence was expected", i, v.signature());
  return *v.items;
}

// A sequence is copied to be changed; an item takes as much as this many numbers.
constexpr int64_t kItem = 32;

// A position from either end; `end`: one past the last is allowed.
size_t position(int64_t at, size_t count, bool end) {
  const auto n = static_cast<int64_t>(count);
  if (at < -n || at >= n + (end ? 1 : 0)) fail("position {} in a sequence of {}", at, n);
  return static_cast<size_t>(at < 0 ? at + n : at);
}

void sequence_empty(OpContext& c) { c.out(Value::sequence({}, elem_type(c.attr_int("dtype", 1)))); }

void sequence_construct(OpContext& c) { c.out(Value::sequence(c.all_inputs(), c.elem(0))); }

void sequence_at(OpContext& c) {
  c.out(items(c, 0)[position(c.integer(1), items(c, 0).size(), false)]);
}

void sequence_insert(OpContext& c) {
  c.check_count(std::ssize(items(c, 0)) * kItem, "elements of a sequence");
  std::vector<Value> all = items(c, 0);
  const size_t at = c.has(2) ? position(c.integer(2), all.size(), true) : all.size();
  all.insert(all.begin() + static_cast<ptrdiff_t>(at), c.input(1));
  c.out(Value::sequence(std::move(all), c.elem(1)));
}

void sequence_erase(OpContext& c) {
  c.check_count(std::ssize(items(c, 0)) * kItem, "elements of a sequence");
  std::vector<Value> all = items(c, 0);
  const size_t at =
      c.has(1) ? position(c.integer(1), all.size(), false) : position(-1, all.size(), false);
  all.erase(all.begin() + static_cast<ptrdiff_t>(at));
  c.out(Value::sequence(std::move(all), c.input(0).elem));
}

void sequence_length(OpContext& c) {
  c.out(HostTensor(Tensor::scalar<int64_t>(std::ssize(items(c, 0)))));
}

void concat_from_sequence(OpContext& c) {
  const bool stack = c.attr_int("new_axis", 0) != 0;
  const int64_t given = c.attr_int("axis");
  std::vector<Expr> parts;
  for (const Value& v : items(c, 0)) parts.push_back(c.expr(v));
  if (parts.empty()) fail("the sequence is empty");
  const int64_t axis = c.axis(given, parts[0].rank() + (stack ? 1 : 0));
  if (stack)
    for (Expr& e : parts) e = expand_dims(e, axis);
  c.out(concat(parts, axis), items(c, 0)[0].elem);
}

// Parts of one size, or of the sizes in a list; without either one element each, whose axis may be
// dropped.
void split_to_sequence(OpContext& c) {
  const int64_t axis = c.axis(c.attr_int("axis", 0), c.rank(0));
  const bool keep = c.attr_int("keepdims", 1) != 0 || c.has(1);
  const int64_t length = c.dims(0)[static_cast<size_t>(axis)];
  Dims sizes;
  if (c.has(1) && c.rank(1) == 1) {
    sizes = c.ints(1);
  } else {
    const int64_t each = c.has(1) ? c.integer(1) : 1;
    if (each < 1) fail("parts of {} elements", each);
    c.check_count((length - 1) / each * kItem, "elements of a sequence");
    for (int64_t at = 0; at < length; at += each) sizes.push_back(std::min(each, length - at));
  }
  std::vector<Value> parts;
  int64_t start = 0;
  for (const int64_t n : sizes) {
    if (n < 0 || n > length - start) fail("the parts do not fit {} elements", length);
    const Expr part = slice_axis(c.expr(0), axis, start, n);
    parts.push_back(Value::of(keep ? part : squeeze(part, axis), c.elem(0)));
    start += n;
  }
  if (start != length) fail("the parts do not fill {} elements", length);
  c.out(Value::sequence(std::move(parts), c.elem(0)));
}

// Item `step` of each sequence; tensors are the same at every step.
std::vector<Value> step_inputs(OpContext& c, size_t step) {
  std::vector<Value> out;
  for (const Value& v : c.all_inputs()) {
    const bool sequence = v.kind == Value::Kind::Sequence;
    if (sequence && step >= v.items->size()) fail("its sequences differ in length");
    out.push_back(sequence ? (*v.items)[step] : v);
  }
  return out;
}

// Traces the body for one item after the other; `saved` are the results so far, step by step.
void map_step(OpContext& c, size_t step, std::vector<Value> saved) {
  const size_t count = items(c, 0).size();
  c.check_count(std::ssize(saved), "results of steps");
  if (step < count) {
    c.expand(c.attr_graph("body"), step_inputs(c, step),
             {[step](OpContext& next, const std::vector<Value>& before,
                     const std::vector<Value>& results) {
                std::vector<Value> all = before;
                all.insert(all.end(), results.begin(), results.end());
                map_step(next, step + 1, std::move(all));
              },
              std::move(saved)});
    return;
  }
  const auto outputs = static_cast<size_t>(c.outputs());
  if (saved.size() != count * outputs)
    fail("its body gives {} values in {} steps for {} outputs", saved.size(), count, outputs);
  for (size_t k = 0; k < outputs; ++k) {
    std::vector<Value> column;
    for (size_t i = 0; i < count; ++i) column.push_back(saved[i * outputs + k]);
    const ElemType elem = column.empty() ? ElemType::Undefined : column[0].elem;
    c.out(Value::sequence(std::move(column), elem));
  }
}

void sequence_map(OpContext& c) {
  c.attr_graph("body");
  map_step(c, 0, {});
}

void optional(OpContext& c) {
  c.ignore({"type"});
  c.out(c.has(0) ? Value::optional(c.input(0)) : Value::optional());
}

// From version 18 on, other values are taken for an optional that has them.
void optional_has_element(OpContext& c) {
  Tensor yes = Tensor::zeros(DType::boolean, {});
  const bool there =
      c.has(0) && (c.input(0).kind != Value::Kind::Optional || !c.input(0).items->empty());
  yes.set_int(0, there ? 1 : 0);
  c.out(HostTensor(yes));
}

void optional_get_element(OpContext& c) {
  const Value& v = c.input(0);
  if (v.kind != Value::Kind::Optional) return c.out(v);
  if (v.items->empty()) fail("the optional is empty");
  c.out(v.items->front());
}

constexpr OpRow kRows[] = {
    {"ConcatFromSequence", 11, concat_from_sequence},
    {"Optional", 15, optional},
    {"OptionalGetElement", 15, optional_get_element},
    {"OptionalHasElement", 15, optional_has_element},
    {"SequenceAt", 11, sequence_at},
    {"SequenceConstruct", 11, sequence_construct},
    {"SequenceEmpty", 11, sequence_empty},
    {"SequenceErase", 11, sequence_erase},
    {"SequenceInsert", 11, sequence_insert},
    {"SequenceLength", 11, sequence_length},
    {"SequenceMap", 17, sequence_map},
    {"SplitToSequence", 11, split_to_sequence},
};

}  // namespace

std::span<const OpRow> sequence_rows() { return kRows; }

}  // namespace lathe::onnx
