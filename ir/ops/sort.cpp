// argsort: where the elements of each lane along the last axis are, in order.
//
// Elements are compared as numbers: -0 equals 0, NaN is larger than all others and equal to NaN.
// Equal ones keep their order, whether the smallest or the largest come first. So the places are
// the same whatever finds them; a program has a step for it, which the runtime and ahead-of-time
// libraries share (runtime/artifact/argsort.h). Sorted values are a gather by them.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/eval.h"
#include "ir/op.h"

namespace lathe {
namespace {

Result<Types> infer_argsort(const InferArgs& a) {
  const TensorType& x = a.operand(0);
  const Dim& count = a.get<SortAttrs>().count;
  if (x.rank() == 0) return failure("a scalar has no last axis");  // [argsort-1]
  const Dim& length = x.shape[x.rank() - 1];
  const bool too_many = count.is_static() && length.is_static() && count.value() > length.value();
  if (too_many || (count.is_static() && count.value() < 0))  // [argsort-2]
    return failure("the first {} of {} elements", count.text(), length.text());
  std::vector<Dim> dims = x.shape.dims();
  dims.back() = count;
  return Types{{DType::i64, Shape(std::move(dims))}};
}

bool less_at(const EvalTensor& x, int64_t a, int64_t b) {
  const auto i = static_cast<size_t>(a), j = static_cast<size_t>(b);
  if (x.floating()) return std::isnan(x.f[j]) ? !std::isnan(x.f[i]) : x.f[i] < x.f[j];
  if (x.dtype == DType::u64) return static_cast<uint64_t>(x.i[i]) < static_cast<uint64_t>(x.i[j]);
  return x.i[i] < x.i[j];
}

void eval_argsort(Evaluation& e) {
  const auto& attrs = e.attrs<SortAttrs>();
  const EvalTensor& x = e.in(0);
  EvalTensor& out = e.out();
  const int64_t length = x.dims.back(), count = attrs.count.value();
  std::vector<int64_t> places(static_cast<size_t>(length));
  for (int64_t lane = 0; count > 0 && lane < out.size() / count; ++lane) {
    std::iota(places.begin(), places.end(), lane * length);
    std::stable_sort(places.begin(), places.end(), [&](int64_t a, int64_t b) {
      return attrs.descending ? less_at(x, b, a) : less_at(x, a, b);
    });
    for (int64_t k = 0; k < count; ++k)
      out.i[static_cast<size_t>(lane * count + k)] = places[static_cast<size_t>(k)] - lane * length;
  }
}

}  // namespace

LATHE_OP(argsort, {.name = "argsort",
                   .cls = OpClass::Sort,
                   .attrs = attrs_index<SortAttrs>,
                   .infer = infer_argsort,
                   .eval = eval_argsort,
                   .no_gradient = "places are integers; gather the values by them"});

}  // namespace lathe
