#include "ir/axes.h"

#include <algorithm>

namespace lathe {

Dims counting(int64_t from, size_t count) {
  Dims out(count);
  for (size_t i = 0; i < count; ++i) out[i] = from + static_cast<int64_t>(i);
  return out;
}

Dims inverse_perm(const Dims& perm) {
  Dims out(perm.size());
  for (size_t i = 0; i < perm.size(); ++i)
    out[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return out;
}

Dims free_axes(int rank, const Dims& batch, const Dims& contract) {
  const auto named = [](const Dims& axes, int64_t axis) {
    return std::ranges::find(axes, axis) != axes.end();
  };
  Dims free;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (!named(batch, axis) && !named(contract, axis)) free.push_back(axis);
  return free;
}

}  // namespace lathe
