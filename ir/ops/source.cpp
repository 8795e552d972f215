// Ops that read no tensor: graph inputs, literals, index ramps.
#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"

namespace lathe {
namespace {

constexpr std::string_view kNoOperands = "has no operands";

Result<Types> infer_parameter(const InferArgs& args) {
  const auto& a = args.get<ParameterAttrs>();
  if (a.index < 0)  // unlabelled: no text form can say it
    return failure("input index {} is negative", a.index);
  for (const Dim& d : a.shape)
    if (d.is_static() && d.value() < 0)  // [parameter-1]
      return failure("shape [{}] has a negative dimension", a.shape.text());
  return Types{{a.dtype, a.shape}};
}

void eval_parameter(Evaluation& e) {
  fail_internal(__FILE__, __LINE__, "inputs are given", e.node.name);
}

ScalarId lower_parameter(Lowering&, const Node& n, int, const Index&) {
  fail_internal(__FILE__, __LINE__, "inputs are materialised", n.name);
}

Result<Types> infer_constant(const InferArgs& args) {
  const Tensor& value = args.get<ConstantAttrs>().value;
  if (!value.defined())  // unlabelled: no text form can say it
    return failure("the constant has no value");
  return Types{{value.dtype(), Shape(value.dims())}};
}

void eval_constant(Evaluation& e) { e.out() = EvalTensor(e.attrs<ConstantAttrs>().value); }

ScalarId lower_constant(Lowering& l, const Node& n, int, const Index&) {
  const Tensor& value = std::get<ConstantAttrs>(n.attrs).value;
  LATHE_ASSERT(is_splat(value), "constant {} is not one number: it is materialised",
               value.type_text());
  if (is_float(value.dtype())) return l.constant(compute_type(value.dtype()), value.at(0));
  return l.constant_int(value.dtype(), value.int_at(0));
}

Result<Types> infer_iota(const InferArgs& args) {
  const auto& a = args.get<IotaAttrs>();
  if (a.axis < 0 || a.axis >= a.shape.rank())  // [iota-1]
    return failure("axis {} is not one of shape [{}]", a.axis, a.shape.text());
  if (a.dtype == DType::boolean)  // [iota-2]
    return failure("element type bool is given, numbers expected");
  for (const Dim& d : a.shape)
    if (d.is_static() && d.value() < 0)  // [iota-3]
      return failure("shape [{}] has a negative dimension", a.shape.text());
  return Types{{a.dtype, a.shape}};
}

void eval_iota(Evaluation& e) {
  const auto axis = static_cast<size_t>(e.attrs<IotaAttrs>().axis);
  EvalTensor& out = e.out();
  size_t k = 0;
  for_each_index(out.dims, [&](const Dims& at) {
    if (out.floating()) out.f[k] = static_cast<double>(at[axis]);
    else out.i[k] = wrap_integer(out.dtype, at[axis]);
    ++k;
  });
}

ScalarId lower_iota(Lowering& l, const Node& n, int, const Index& at) {
  const auto& a = std::get<IotaAttrs>(n.attrs);
  return l.index_value(at[a.axis], compute_type(a.dtype));
}

}  // namespace

LATHE_OP(parameter, {.name = "parameter",
                     .arity = 0,
                     .cls = OpClass::Source,
                     .attrs = attrs_index<ParameterAttrs>,
                     .infer = infer_parameter,
                     .eval = eval_parameter,
                     .lower = lower_parameter,
                     .no_gradient = kNoOperands});

LATHE_OP(constant, {.name = "constant",
                    .arity = 0,
                    .cls = OpClass::Source,
                    .attrs = attrs_index<ConstantAttrs>,
                    .infer = infer_constant,
                    .eval = eval_constant,
                    .lower = lower_constant,
                    .no_gradient = kNoOperands});

LATHE_OP(iota, {.name = "iota",
                .arity = 0,
                .cls = OpClass::Source,
                .attrs = attrs_index<IotaAttrs>,
                .infer = infer_iota,
                .eval = eval_iota,
                .lower = lower_iota,
                .no_gradient = kNoOperands});

}  // namespace lathe
