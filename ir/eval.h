// Reference evaluation: the obvious meaning of a graph, floats in double, one op at a time.
//
// It is the top of the oracle ladder and what constant folding uses. Float values are kept as
// doubles whatever their dtype, except that constants, inputs and `cast` round to the dtype; final
// outputs are rounded once. Integers are kept exactly and wrap to their dtype's width.
#pragma once

#include <span>
#include <vector>

#include "ir/op.h"

namespace lathe {

struct EvalTensor {
  DType dtype = DType::f32;
  Dims dims;
  std::vector<double> f;   // float dtypes
  std::vector<int64_t> i;  // integer dtypes (u64: the bits) and bool (0, 1)

  EvalTensor() = default;
  EvalTensor(DType t, Dims d);
  explicit EvalTensor(const Tensor& t);
  bool floating() const { return is_float(dtype); }
  int64_t size() const { return floating() ? std::ssize(f) : std::ssize(i); }
  Tensor to_tensor() const;  // rounds
  // Copies element `from` of `source` (same dtype) to element `to`.
  void copy_element(int64_t to, const EvalTensor& source, int64_t from);
};

// v reduced to the width of an integer dtype (sign or zero extended back to 64 bits).
int64_t wrap_integer(DType t, int64_t v);
// Rounds a double to the values a float dtype can hold.
double round_to(DType t, double v);

// What an eval hook sees. Shapes are static here: symbols are bound before evaluation.
class Evaluation {
 public:
  Evaluation(const Node& node, std::vector<const EvalTensor*> operands,
             std::span<const TensorType> types)
      : node(node), operands_(std::move(operands)) {
    for (const TensorType& t : types) results_.emplace_back(t.dtype, t.shape.static_dims());
  }
  const Node& node;
  template <class T>
  const T& attrs() const {
    return std::get<T>(node.attrs);
  }
  int operand_count() const { return static_cast<int>(operands_.size()); }
  const EvalTensor& in(int k) const { return *operands_[static_cast<size_t>(k)]; }
  EvalTensor& out(int r = 0) { return results_[static_cast<size_t>(r)]; }
  std::vector<EvalTensor>& results() { return results_; }

 private:
  std::vector<const EvalTensor*> operands_;
  std::vector<EvalTensor> results_;
};

// Inputs in the graph's order. The graph's shapes are static (see passes/bind.h).
std::vector<EvalTensor> evaluate(const Graph& g, const std::vector<EvalTensor>& inputs);
std::vector<Tensor> evaluate(const Graph& g, const std::vector<Tensor>& inputs);

// Calls fn(index) for every point of dims in row-major order.
template <class F>
void for_each_index(const Dims& dims, F&& fn) {
  for (int64_t d : dims)
    if (d == 0) return;
  Dims index(dims.size(), 0);
  for (;;) {
    fn(static_cast<const Dims&>(index));
    size_t axis = dims.size();
    while (axis > 0 && ++index[axis - 1] == dims[axis - 1]) index[--axis] = 0;
    if (axis == 0) return;
  }
}

}  // namespace lathe
