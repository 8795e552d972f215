// dot_general: the one contraction. Matrix products, and convolutions as products of windows.
#include <algorithm>

#include "ir/axes.h"
#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace lathe {
namespace {

const Dim& dim(const TensorType& t, int64_t axis) { return t.shape[static_cast<int>(axis)]; }

// Every axis exists and is named once.
std::optional<Failure> check_axes(const char* side, const TensorType& t, const Dims& batch,
                                  const Dims& contract) {
  Dims all = batch;
  all.insert(all.end(), contract.begin(), contract.end());
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] < 0 || all[i] >= t.rank())  // [dot_general-3]
      return failure("axis {} is outside the {} operand of rank {}", all[i], side, t.rank());
    if (std::find(all.begin(), all.begin() + static_cast<int64_t>(i), all[i]) !=
        all.begin() + static_cast<int64_t>(i))  // [dot_general-4]
      return failure("axis {} of the {} operand is named twice", all[i], side);
  }
  return std::nullopt;
}

Result<Types> infer_dot(const InferArgs& args) {
  const auto& a = args.get<DotAttrs>();
  const TensorType &lhs = args.operand(0), &rhs = args.operand(1);
  if (a.lhs_batch.size() != a.rhs_batch.size())  // [dot_general-1]
    return failure("{} batch axes on the left, {} on the right", a.lhs_batch.size(),
                   a.rhs_batch.size());
  if (a.lhs_contract.size() != a.rhs_contract.size())  // [dot_general-2]
    return failure("{} contracting axes on the left, {} on the right", a.lhs_contract.size(),
                   a.rhs_contract.size());
  if (auto bad = check_axes("left", lhs, a.lhs_batch, a.lhs_contract)) return *bad;
  if (auto bad = check_axes("right", rhs, a.rhs_batch, a.rhs_contract)) return *bad;
  std::vector<Dim> dims;
  for (size_t i = 0; i < a.lhs_batch.size(); ++i) {
    const Dim &l = dim(lhs, a.lhs_batch[i]), &r = dim(rhs, a.rhs_batch[i]);
    if (!(l == r)) return failure("batch dims {} and {} differ", l.text(), r.text());
    dims.push_back(l);  // [dot_general-5]
  }
  for (size_t i = 0; i < a.lhs_contract.size(); ++i) {
    const Dim &l = dim(lhs, a.lhs_contract[i]), &r = dim(rhs, a.rhs_contract[i]);
    if (!(l == r))  // [dot_general-6]
      return failure("contracting dims {} and {} differ", l.text(), r.text());
  }
  const bool floats = is_float(lhs.dtype) && is_float(rhs.dtype) && is_float(a.dtype);
  const bool integers = is_integer(lhs.dtype) && is_integer(rhs.dtype) && is_integer(a.dtype);
  if (!floats && !integers)  // [dot_general-7]
    return failure("operands and result must be all floats or all integers, the result is {}",
                   name(a.dtype));
  for (int64_t axis : free_axes(lhs.rank(), a.lhs_batch, a.lhs_contract))
    dims.push_back(dim(lhs, axis));
  for (int64_t axis : free_axes(rhs.rank(), a.rhs_batch, a.rhs_contract))
    dims.push_back(dim(rhs, axis));
  return Types{{a.dtype, Shape(std::move(dims))}};
}

// Offsets of all index combinations along `axes`, the last varying fastest.
std::vector<size_t> offsets(const Dims& dims, const Dims& axes) {
  const Dims strides = row_major_strides(dims);
  Dims extents;
  for (int64_t a : axes) extents.push_back(dims[static_cast<size_t>(a)]);
  std::vector<size_t> out;
  for_each_index(extents, [&](const Dims& index) {
    int64_t offset = 0;
    for (size_t i = 0; i < axes.size(); ++i)
      offset += index[i] * strides[static_cast<size_t>(axes[i])];
    out.push_back(static_cast<size_t>(offset));
  });
  return out;
}

void eval_dot(Evaluation& e) {
  const auto& a = e.attrs<DotAttrs>();
  const EvalTensor &lhs = e.in(0), &rhs = e.in(1);
  EvalTensor& out = e.out();
  const auto lhs_batch = offsets(lhs.dims, a.lhs_batch);
  const auto rhs_batch = offsets(rhs.dims, a.rhs_batch);
  const auto lhs_steps = offsets(lhs.dims, a.lhs_contract);
  const auto rhs_steps = offsets(rhs.dims, a.rhs_contract);
  const auto rank = [](const EvalTensor& t) { return static_cast<int>(t.dims.size()); };
  const auto rows = offsets(lhs.dims, free_axes(rank(lhs), a.lhs_batch, a.lhs_contract));
  const auto columns = offsets(rhs.dims, free_axes(rank(rhs), a.rhs_batch, a.rhs_contract));
  size_t at = 0;
  for (size_t b = 0; b < lhs_batch.size(); ++b)
    for (size_t row : rows)
      for (size_t column : columns) {
        const size_t l = lhs_batch[b] + row, r = rhs_batch[b] + column;
        double sum = 0;
        uint64_t exact = 0;  // wraps, as the result does
        for (size_t k = 0; k < lhs_steps.size(); ++k) {
          if (out.floating()) sum += lhs.f[l + lhs_steps[k]] * rhs.f[r + rhs_steps[k]];
          else
            exact += static_cast<uint64_t>(lhs.i[l + lhs_steps[k]]) *
                     static_cast<uint64_t>(rhs.i[r + rhs_steps[k]]);
        }
        if (out.floating()) out.f[at] = sum;
        else out.i[at] = wrap_integer(out.dtype, static_cast<int64_t>(exact));
        ++at;
      }
}

// Pulls an operand whose batch, contracting and free axes are at these indices, as the
// accumulator's type.
ScalarId pull_factor(Lowering& l, Value v, const Dims& batch, const Dims& contract, const Index& at,
                     int free_from, const Index& red, DType accumulator) {
  const TensorType& type = l.type(v);
  Index source;
  source.axes.resize(static_cast<size_t>(type.rank()));
  for (size_t i = 0; i < batch.size(); ++i) source[batch[i]] = at.axes[i];
  for (size_t i = 0; i < contract.size(); ++i) source[contract[i]] = red.axes[i];
  for (int64_t axis : free_axes(type.rank(), batch, contract)) source[axis] = at[free_from++];
  const ScalarId value = l.pull(v, source);
  return compute_type(type.dtype) == accumulator ? value
                                                 : l.emit(Scalar::Cast, accumulator, {value});
}

ScalarId lower_dot(Lowering& l, const Node& n, int, const Index& at) {
  const auto& a = std::get<DotAttrs>(n.attrs);
  const DType accumulator = compute_type(a.dtype);
  const Dims lhs_dims = l.dims(n.operands[0]);
  Dims extents;
  for (int64_t axis : a.lhs_contract) extents.push_back(lhs_dims[static_cast<size_t>(axis)]);
  const Index red = extents.empty() ? Index() : l.reduction(extents);
  const auto lhs_free = static_cast<int>(std::ssize(a.lhs_batch));
  const auto rhs_free = static_cast<int>(std::ssize(lhs_dims) - std::ssize(a.lhs_contract));
  const ScalarId lhs =
      pull_factor(l, n.operands[0], a.lhs_batch, a.lhs_contract, at, lhs_free, red, accumulator);
  const ScalarId rhs =
      pull_factor(l, n.operands[1], a.rhs_batch, a.rhs_contract, at, rhs_free, red, accumulator);
  if (extents.empty()) return l.emit(Scalar::Mul, accumulator, {lhs, rhs});
  // Of two bf16 tensors as machines multiply them (ir/README.md).
  const auto is_bf16 = [&](Value v) { return l.type(v).dtype == DType::bf16; };
  const bool flush = accumulator == DType::f32 && is_bf16(n.operands[0]) && is_bf16(n.operands[1]);
  return l.accumulate(flush ? Combine::FmaFlush : Combine::Fma, accumulator, lhs, rhs);
}

// The cotangent of one operand ("own"): g contracted with the other one over the latter's free
// axes, which are g's axes from `g_contract` on; then its axes (batch, own free, contracted in the
// other's order) are put back in the operand's order.
Expr factor_cotangent(const Expr& g, const Expr& own, const Dims& own_batch,
                      const Dims& own_contract, const Expr& other, const Dims& other_batch,
                      const Dims& other_contract, int64_t g_contract) {
  const Dims other_free = free_axes(other.rank(), other_batch, other_contract);
  const Expr product = dot_general(g, other,
                                   {.lhs_batch = counting(0, own_batch.size()),
                                    .rhs_batch = other_batch,
                                    .lhs_contract = counting(g_contract, other_free.size()),
                                    .rhs_contract = other_free,
                                    .dtype = own.dtype()});
  Dims goes_to = own_batch;
  for (int64_t axis : free_axes(own.rank(), own_batch, own_contract)) goes_to.push_back(axis);
  Dims in_order = other_contract;
  std::sort(in_order.begin(), in_order.end());
  for (int64_t axis : in_order) {
    const auto k = std::find(other_contract.begin(), other_contract.end(), axis);
    goes_to.push_back(own_contract[static_cast<size_t>(k - other_contract.begin())]);
  }
  Dims perm(goes_to.size());
  for (size_t i = 0; i < goes_to.size(); ++i)
    perm[static_cast<size_t>(goes_to[i])] = static_cast<int64_t>(i);
  return std::is_sorted(perm.begin(), perm.end()) ? product : transpose(product, perm);
}

void vjp_dot(Vjp& v) {
  const auto a = v.attrs<DotAttrs>();
  const Expr lhs = v.in(0), rhs = v.in(1), g = v.g();
  const int64_t rows = std::ssize(a.lhs_batch);
  const int64_t columns = lhs.rank() - std::ssize(a.lhs_contract);
  if (v.wants(0))
    v.give(0, factor_cotangent(g, lhs, a.lhs_batch, a.lhs_contract, rhs, a.rhs_batch,
                               a.rhs_contract, columns));
  if (v.wants(1))
    v.give(1, factor_cotangent(g, rhs, a.rhs_batch, a.rhs_contract, lhs, a.lhs_batch,
                               a.lhs_contract, rows));
}

}  // namespace

LATHE_OP(dot_general, {.name = "dot_general",
                       .arity = 2,
                       .cls = OpClass::Contract,
                       .attrs = attrs_index<DotAttrs>,
                       .infer = infer_dot,
                       .eval = eval_dot,
                       .lower = lower_dot,
                       .vjp = vjp_dot});

}  // namespace lathe
