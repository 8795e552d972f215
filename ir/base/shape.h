// Shapes: row-major lists of dims.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "ir/base/dim.h"

namespace lathe {

using Dims = std::vector<int64_t>;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<Dim> dims) : dims_(dims) {}
  explicit Shape(std::vector<Dim> dims) : dims_(std::move(dims)) {}
  explicit Shape(const Dims& dims) : dims_(dims.begin(), dims.end()) {}

  int rank() const { return static_cast<int>(dims_.size()); }
  const Dim& operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  Dim& operator[](int axis) { return dims_[static_cast<size_t>(axis)]; }
  const std::vector<Dim>& dims() const { return dims_; }
  auto begin() const { return dims_.begin(); }
  auto end() const { return dims_.end(); }

  bool is_static() const;
  // Preconditions: is_static(). Overflow of the product is a user error.
  Dims static_dims() const;
  int64_t element_count() const;
  // Product of all dims, symbolic.
  Dim volume() const;

  Shape bind(const DimBinding& binding) const;
  std::string text() const;  // "2,batch,3"

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::vector<Dim> dims_;
};

// Number of elements of a static shape; a negative dim or an overflow is a user error.
int64_t element_count(const Dims& dims);
// Row-major strides in elements.
Dims row_major_strides(const Dims& dims);

}  // namespace lathe
