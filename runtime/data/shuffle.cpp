#include "runtime/data/shuffle.h"

#include <algorithm>
#include <utility>

#include "ir/base/philox.h"

namespace lathe::data {
namespace {

uint32_t low(uint64_t v) { return static_cast<uint32_t>(v); }
uint32_t high(uint64_t v) { return static_cast<uint32_t>(v >> 32); }

}  // namespace

std::vector<int64_t> shuffled_order(int64_t count, uint64_t seed, uint64_t epoch) {
  std::vector<std::pair<uint64_t, int64_t>> keyed;
  keyed.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const auto index = static_cast<uint64_t>(i);
    const PhiloxCounter r =
        philox4x32({low(index), high(index), low(epoch), high(epoch)}, {low(seed), high(seed)});
    keyed.emplace_back(uint64_t{r[1]} << 32 | r[0], i);
  }
  std::sort(keyed.begin(), keyed.end());
  std::vector<int64_t> order;
  order.reserve(keyed.size());
  for (const auto& [key, index] : keyed) order.push_back(index);
  return order;
}

}  // namespace lathe::data
