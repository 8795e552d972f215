// windows and fold: sliding windows and their transpose; each is the other's gradient.
#include <algorithm>

#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace lathe {
namespace {

std::optional<Failure> check_attrs(const WindowAttrs& a) {
  const size_t n = a.kernel.size();
  if (a.stride.size() != n || a.dilation.size() != n || a.low.size() != n || a.high.size() != n)
    return failure("kernel, stride, dilation, low and high must be equally long");  // [windows-1]
  constexpr int64_t kLimit = int64_t{1} << 40;  // keeps every product below inside 64 bits
  for (size_t i = 0; i < n; ++i) {
    const auto positive = [](int64_t v) { return v >= 1 && v < (int64_t{1} << 20); };
    if (!positive(a.kernel[i]) || !positive(a.stride[i]) || !positive(a.dilation[i]))
      return failure("kernel {}, stride {} and dilation {} must be in [1, 2^20)", a.kernel[i],
                     a.stride[i], a.dilation[i]);  // [windows-2]
    if (std::max(a.low[i], a.high[i]) > kLimit ||
        std::min(a.low[i], a.high[i]) < -kLimit)  // [windows-3]
      return failure("padding {}, {} is too large", a.low[i], a.high[i]);
  }
  return std::nullopt;
}

// Number of window positions along window axis i of a dim.
Dim positions(const WindowAttrs& a, size_t i, const Dim& size) {
  const Dim room =
      size + Dim(a.low[i]) + Dim(a.high[i]) - Dim(a.dilation[i] * (a.kernel[i] - 1) + 1);
  return floordiv(room, a.stride[i]) + Dim(1);
}

// Where window axis i reads: position o, kernel tap k.
int64_t source_index(const WindowAttrs& a, size_t i, int64_t o, int64_t k) {
  return o * a.stride[i] + k * a.dilation[i] - a.low[i];
}

Result<Types> infer_windows(const InferArgs& args) {
  const auto& a = args.get<WindowAttrs>();
  const TensorType& x = args.operand(0);
  if (auto bad = check_attrs(a)) return *bad;
  const int n = static_cast<int>(a.kernel.size());
  if (n > x.rank())  // [windows-4]
    return failure("{} window axes on an operand of rank {}", n, x.rank());
  if (!is_float(x.dtype) && Tensor::scalar_of(x.dtype, a.fill).at(0) != a.fill)  // [windows-5]
    return failure("fill {} is not a value of {}", a.fill, name(x.dtype));
  std::vector<Dim> dims = x.shape.dims();
  for (int i = 0; i < n; ++i) {
    Dim& d = dims[static_cast<size_t>(x.rank() - n + i)];
    const Dim count = positions(a, static_cast<size_t>(i), d);
    if (count.is_static() && count.value() < 0)  // [windows-6]
      return failure("a window of {} taps at dilation {} is wider than the padded dim {}+{}+{}",
                     a.kernel[static_cast<size_t>(i)], a.dilation[static_cast<size_t>(i)], d.text(),
                     a.low[static_cast<size_t>(i)], a.high[static_cast<size_t>(i)]);
    d = count;
  }
  for (int64_t k : a.kernel) dims.emplace_back(k);
  return Types{{x.dtype, Shape(std::move(dims))}};
}

// Calls fn(unfolded, folded) for every pair of an element of [.., O.., K..] and the element of
// [.., S..] that it reads; folded is -1 in the padding.
template <class F>
void for_each_window_element(const WindowAttrs& a, const Dims& unfolded, const Dims& folded,
                             F&& fn) {
  const Dims strides = row_major_strides(folded);
  const size_t n = a.kernel.size(), lead = folded.size() - n;
  int64_t from = 0;
  for_each_index(unfolded, [&](const Dims& index) {
    int64_t to = 0;
    for (size_t i = 0; i < lead; ++i) to += index[i] * strides[i];
    for (size_t i = 0; i < n && to >= 0; ++i) {
      const int64_t s = source_index(a, i, index[lead + i], index[lead + n + i]);
      if (s < 0 || s >= folded[lead + i]) to = -1;
      else to += s * strides[lead + i];
    }
    fn(from++, to);
  });
}

void eval_windows(Evaluation& e) {
  const auto& a = e.attrs<WindowAttrs>();
  EvalTensor& out = e.out();
  const EvalTensor fill(Tensor::scalar_of(out.dtype, a.fill));
  for_each_window_element(a, out.dims, e.in(0).dims, [&](int64_t to, int64_t from) {
    if (from < 0) out.copy_element(to, fill, 0);
    else out.copy_element(to, e.in(0), from);
  });
}

const IndexExpr& affine(const AxisIndex& index) {
  LATHE_ASSERT(index.indirect.empty(), "a view is never read through indices of data");
  return index.expr;
}

ScalarId lower_windows(Lowering& l, const Node& node, int, const Index& at) {
  const auto& a = std::get<WindowAttrs>(node.attrs);
  const Value x = node.operands[0];
  const Dims dims = l.dims(x);
  const auto n = std::ssize(a.kernel), lead = std::ssize(dims) - n;
  Index source;
  std::vector<GuardId> guards;
  for (int64_t i = 0; i < lead; ++i) source.axes.push_back(at[i]);
  for (int64_t i = 0; i < n; ++i) {
    const auto w = static_cast<size_t>(i);
    IndexExpr s = affine(at[lead + i]) * a.stride[w] + affine(at[lead + n + i]) * a.dilation[w] +
                  IndexExpr(-a.low[w]);
    if (const auto g = l.guard(s, dims[static_cast<size_t>(lead + i)])) guards.push_back(*g);
    source.axes.emplace_back(std::move(s));
  }
  return l.guarded(guards, l.type(x).dtype, a.fill, [&] { return l.pull(x, source); });
}

WindowAttrs without_fill(WindowAttrs a) {
  a.fill = 0;
  a.size.clear();
  return a;
}

void vjp_windows(Vjp& v) {
  WindowAttrs a = without_fill(v.attrs<WindowAttrs>());
  const std::vector<Dim>& dims = v.in(0).shape().dims();
  a.size.assign(dims.end() - std::ssize(a.kernel), dims.end());
  v.give(0, fold(v.g(), std::move(a)));
}

Result<Types> infer_fold(const InferArgs& args) {
  const auto& a = args.get<WindowAttrs>();
  const TensorType& x = args.operand(0);
  if (auto bad = check_attrs(a)) return *bad;
  const int n = static_cast<int>(a.kernel.size());
  if (static_cast<int>(a.size.size()) != n)  // [fold-1]
    return failure("size has {} dims, the kernel {}", a.size.size(), n);
  if (2 * n > x.rank())  // [fold-2]
    return failure("{} window axes need an operand of rank {} or more", n, 2 * n);
  if (x.dtype == DType::boolean) return failure("bool has no sum");  // [fold-3]
  const int lead = x.rank() - 2 * n;
  std::vector<Dim> dims(x.shape.begin(), x.shape.begin() + lead);
  for (int i = 0; i < n; ++i) {
    const auto w = static_cast<size_t>(i);
    const Dim count = positions(a, w, a.size[w]);
    if (!(x.shape[lead + i] == count))  // [fold-4]
      return failure("axis {} holds {} windows, a dim of {} has {}", lead + i,
                     x.shape[lead + i].text(), a.size[w].text(), count.text());
    if (!(x.shape[lead + n + i] == Dim(a.kernel[w])))  // [fold-5]
      return failure("axis {} holds {} taps, the kernel {}", lead + n + i,
                     x.shape[lead + n + i].text(), a.kernel[w]);
    dims.push_back(a.size[w]);
  }
  return Types{{x.dtype, Shape(std::move(dims))}};
}

void eval_fold(Evaluation& e) {
  const EvalTensor& x = e.in(0);
  EvalTensor& out = e.out();
  for_each_window_element(e.attrs<WindowAttrs>(), x.dims, out.dims, [&](int64_t from, int64_t to) {
    if (to < 0) return;
    const auto f = static_cast<size_t>(from), t = static_cast<size_t>(to);
    if (x.floating()) out.f[t] += x.f[f];
    else
      out.i[t] = wrap_integer(x.dtype, static_cast<int64_t>(static_cast<uint64_t>(out.i[t]) +
                                                            static_cast<uint64_t>(x.i[f])));
  });
}

// Gather form: element s receives tap k of position (s + low - k*dilation) / stride, where that is
// a whole number and a position.
ScalarId lower_fold(Lowering& l, const Node& node, int, const Index& at) {
  const auto& a = std::get<WindowAttrs>(node.attrs);
  const Value x = node.operands[0];
  if (a.kernel.empty()) return l.pull(x, at);
  const Dims dims = l.dims(x);
  const auto n = std::ssize(a.kernel), lead = std::ssize(dims) - 2 * n;
  const Index taps = l.reduction(a.kernel);
  Index source;
  std::vector<GuardId> guards;
  for (int64_t i = 0; i < lead; ++i) source.axes.push_back(at[i]);
  for (int64_t i = 0; i < n; ++i) {
    const auto w = static_cast<size_t>(i);
    const IndexExpr scaled =
        affine(at[lead + i]) + IndexExpr(a.low[w]) + affine(taps[i]) * -a.dilation[w];
    const int64_t limit = dims[static_cast<size_t>(lead + i)] * a.stride[w];
    if (const auto g = l.guard(scaled, limit, a.stride[w])) guards.push_back(*g);
    source.axes.emplace_back(a.stride[w] == 1 ? scaled : l.floordiv(scaled, a.stride[w]));
  }
  source.axes.insert(source.axes.end(), taps.axes.begin(), taps.axes.end());
  const DType type = l.type(x).dtype;
  const ScalarId term = l.guarded(guards, type, 0, [&] { return l.pull(x, source); });
  return l.accumulate(Combine::Add, type, term);
}

void vjp_fold(Vjp& v) { v.give(0, windows(v.g(), without_fill(v.attrs<WindowAttrs>()))); }

}  // namespace

LATHE_OP(windows, {.name = "windows",
                   .cls = OpClass::View,
                   .attrs = attrs_index<WindowAttrs>,
                   .infer = infer_windows,
                   .eval = eval_windows,
                   .lower = lower_windows,
                   .vjp = vjp_windows});

LATHE_OP(fold, {.name = "fold",
                .cls = OpClass::Reduce,
                .attrs = attrs_index<WindowAttrs>,
                .infer = infer_fold,
                .eval = eval_fold,
                .lower = lower_fold,
                .vjp = vjp_fold});

}  // namespace lathe
