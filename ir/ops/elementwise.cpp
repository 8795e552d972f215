#include "ir/ops/elementwise.h"

namespace lathe::elementwise {
namespace {

bool accepts(Takes t, DType dtype) {
  switch (t) {
    case Takes::Any: return true;
    case Takes::Number: return dtype != DType::boolean;
    case Takes::Float: return is_float(dtype);
    case Takes::Integer: return is_integer(dtype);
    case Takes::Logical: return !is_float(dtype);
    case Takes::Bool: return dtype == DType::boolean;
  }
  return false;
}

std::string_view description(Takes t) {
  switch (t) {
    case Takes::Any: return "any type";
    case Takes::Number: return "numbers";
    case Takes::Float: return "floats";
    case Takes::Integer: return "integers";
    case Takes::Logical: return "integers or bool";
    case Takes::Bool: return "bool";
  }
  return "";
}

}  // namespace

Result<TensorType> common_type(const InferArgs& args, Takes takes, int first) {
  const TensorType& type = args.operand(first);
  for (const TensorType& t : args.operands.subspan(static_cast<size_t>(first))) {
    if (t.dtype != type.dtype)  // [elementwise-1]
      return failure("operands have element types {} and {}; one type is expected",
                     name(type.dtype), name(t.dtype));
    if (!(t.shape == type.shape))  // [elementwise-2]
      return failure("operands have shapes [{}] and [{}]; equal shapes are expected",
                     type.shape.text(), t.shape.text());
  }
  if (!accepts(takes, type.dtype))  // [elementwise-3]
    return failure("element type {} is given, {} expected", name(type.dtype), description(takes));
  return type;
}

}  // namespace lathe::elementwise
