#include "ir/kernel_ranges.h"

#include <algorithm>
#include <limits>

#include "ir/scalar_eval.h"

namespace lathe {
namespace {

Interval type_range(DType t) {
  return scalar::visit_compute(t, []<class T>() -> Interval {
    if constexpr (scalar::Logical<T>)
      return {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
    else return {0, 0};
  });
}

Interval product(Interval a, Interval b) {
  const __int128 limit = __int128{1} << 62;  // products of larger numbers might not fit
  const Interval safe{-limit, limit};
  if (!a.inside(safe) || !b.inside(safe)) return {-limit * limit, limit * limit};
  const auto [lo, hi] = std::minmax({a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi});
  return {lo, hi};
}

// The range of `in`, given those of the scalars before it.
Interval defined(const Kernel& k, const Instr& in, const std::vector<Interval>& ranges) {
  const auto arg = [&](size_t i) { return ranges[static_cast<size_t>(in.args[i])]; };
  const Interval whole = type_range(in.type);
  switch (in.op) {
    case Scalar::Const:
      return in.type == DType::u64 && in.integer < 0 ? whole : Interval{in.integer, in.integer};
    case Scalar::IndexValue: return IndexBounds(k).of(in.index);
    case Scalar::Min: return {std::min(arg(0).lo, arg(1).lo), std::min(arg(0).hi, arg(1).hi)};
    case Scalar::Max: return {std::max(arg(0).lo, arg(1).lo), std::max(arg(0).hi, arg(1).hi)};
    case Scalar::Select: return {std::min(arg(1).lo, arg(2).lo), std::max(arg(1).hi, arg(2).hi)};
    case Scalar::Add: return {arg(0).lo + arg(1).lo, arg(0).hi + arg(1).hi};
    case Scalar::Sub: return {arg(0).lo - arg(1).hi, arg(0).hi - arg(1).lo};
    case Scalar::Mul: return product(arg(0), arg(1));
    case Scalar::Cast:
      return is_float(k.body[static_cast<size_t>(in.args[0])].type) ? whole : arg(0);
    default: return whole;
  }
}

}  // namespace

Interval integer_range(const Kernel& k, ScalarId id) {
  std::vector<Interval> ranges;
  for (size_t i = 0; i <= static_cast<size_t>(id); ++i) {
    const Instr& in = k.body[i];
    const Interval whole = type_range(in.type);
    const Interval r = is_float(in.type) ? whole : defined(k, in, ranges);
    ranges.push_back(r.inside(whole) ? r : whole);
  }
  return ranges.back();
}

}  // namespace lathe
