#include "frontend/onnx/value.h"

#include <fmt/format.h>

namespace lathe::onnx {

std::string HostTensor::type_text() const {
  return fmt::format("{}[{}]", name(elem), fmt::join(dims(), ","));
}

Value Value::of(HostTensor t) {
  Value v;
  v.kind = Kind::Known;
  v.elem = t.elem;
  v.known = std::move(t);
  return v;
}

Value Value::of(Expr e, ElemType elem) {
  Value v;
  v.kind = Kind::Graph;
  v.elem = elem;
  v.expr = e;
  return v;
}

Value Value::of_slot(int slot, ElemType elem, Dims dims) {
  Value v;
  v.kind = Kind::Slot;
  v.elem = elem;
  v.slot = slot;
  v.slot_dims = std::move(dims);
  return v;
}

Value Value::sequence(std::vector<Value> items, ElemType elem) {
  Value v;
  v.kind = Kind::Sequence;
  v.elem = elem;
  v.items = std::make_shared<const std::vector<Value>>(std::move(items));
  return v;
}

Value Value::optional() {
  Value v = sequence({});
  v.kind = Kind::Optional;
  return v;
}

Value Value::optional(Value content) {
  Value v = sequence({std::move(content)});
  v.kind = Kind::Optional;
  return v;
}

Dims Value::dims() const {
  if (kind == Kind::Known) return known.dims();
  if (kind == Kind::Graph) return expr.shape().static_dims();
  LATHE_ASSERT(kind == Kind::Slot, "a value without dims");
  return slot_dims;
}

std::string Value::signature() const {
  if (is_tensor()) return fmt::format("{}[{}]", name(elem), fmt::join(dims(), ","));
  std::vector<std::string> parts;
  if (items)
    for (const Value& item : *items) parts.push_back(item.signature());
  const std::string inner = fmt::format("{}", fmt::join(parts, ","));
  switch (kind) {
    case Kind::Sequence: return fmt::format("sequence<{}>({})", name(elem), inner);
    case Kind::Optional: return fmt::format("optional({})", inner);
    case Kind::Map: return fmt::format("map({})", inner);
    default: return "absent";
  }
}

}  // namespace lathe::onnx
