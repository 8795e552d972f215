// The type of a tensor value in a graph.
#pragma once

#include <string>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/shape.h"

namespace lathe {

struct TensorType {
  DType dtype = DType::f32;
  Shape shape;

  int rank() const { return shape.rank(); }
  std::string text() const { return fmt::format("{}[{}]", name(dtype), shape.text()); }
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

using Types = std::vector<TensorType>;

}  // namespace lathe
