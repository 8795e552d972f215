// What the elementwise records share: which element types an op takes, one inference, one
// evaluation and one lowering for all of them.
//
// Hooks are templates over a generic lambda `F`, which sees double for every float type and the
// C++ type itself for integers and bool.
#pragma once

#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "ir/scalar_eval.h"
#include "ir/vjp.h"

namespace lathe::elementwise {

enum class Takes { Any, Number, Float, Integer, Logical, Bool };

template <Takes t, class T>
constexpr bool takes() {
  constexpr bool is_bool = std::is_same_v<T, bool>;
  switch (t) {
    case Takes::Any: return true;
    case Takes::Number: return !is_bool;
    case Takes::Float: return !std::is_integral_v<T>;
    case Takes::Integer: return std::is_integral_v<T> && !is_bool;
    case Takes::Logical: return std::is_integral_v<T>;
    case Takes::Bool: return is_bool;
  }
  return false;
}

// The operands' common type, or why they are refused. `first` skips select's condition.
Result<TensorType> common_type(const InferArgs& args, Takes takes, int first = 0);

template <Takes t>
Result<Types> infer_same(const InferArgs& args) {
  const Result<TensorType> type = common_type(args, t);
  if (!type) return failure("{}", type.error());
  return Types{*type};
}

template <Takes t>
Result<Types> infer_compare(const InferArgs& args) {
  const Result<TensorType> type = common_type(args, t);
  if (!type) return failure("{}", type.error());
  return Types{{DType::boolean, type->shape}};
}

// Calls fn<T>() with double for float types.
template <class F>
void visit_eval(DType t, F&& fn) {
  visit_dtype(t, [&]<class T>() {
    if constexpr (std::is_integral_v<T>) fn.template operator()<T>();
    else fn.template operator()<double>();
  });
}

template <class T>
T element(const EvalTensor& t, int64_t k) {
  if constexpr (std::is_same_v<T, double>) return t.f[static_cast<size_t>(k)];
  else return static_cast<T>(t.i[static_cast<size_t>(k)]);
}
inline void set_element(EvalTensor& t, int64_t k, double v) { t.f[static_cast<size_t>(k)] = v; }
template <std::integral T>
void set_element(EvalTensor& t, int64_t k, T v) {
  t.i[static_cast<size_t>(k)] = static_cast<int64_t>(v);
}

template <Takes t, auto F>
void eval_unary(Evaluation& e) {
  visit_eval(e.in(0).dtype, [&]<class T>() {
    if constexpr (takes<t, T>())
      for (int64_t k = 0; k < e.out().size(); ++k)
        set_element(e.out(), k, F(element<T>(e.in(0), k)));
  });
}

template <Takes t, auto F>
void eval_binary(Evaluation& e) {
  visit_eval(e.in(0).dtype, [&]<class T>() {
    if constexpr (takes<t, T>())
      for (int64_t k = 0; k < e.out().size(); ++k)
        set_element(e.out(), k, F(element<T>(e.in(0), k), element<T>(e.in(1), k)));
  });
}

template <Scalar op>
ScalarId lower_unary(Lowering& l, const Node& n, int, const Index& at) {
  return l.emit(op, compute_type(n.types[0].dtype), {l.pull(n.operands[0], at)});
}

template <Scalar op>
ScalarId lower_binary(Lowering& l, const Node& n, int, const Index& at) {
  const ScalarId a = l.pull(n.operands[0], at);
  const ScalarId b = l.pull(n.operands[1], at);
  return l.emit(op, compute_type(n.types[0].dtype), {a, b});
}

// Gradient zero everywhere: nothing is given.
inline void zero_vjp(Vjp&) {}

}  // namespace lathe::elementwise
