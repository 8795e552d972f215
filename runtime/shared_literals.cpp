#include "runtime/shared_literals.h"

#include <algorithm>
#include <cstring>

#include "ir/base/hash.h"

namespace lathe {
namespace {

constexpr int64_t kLarge = 4096;   // bytes; smaller ones are not worth a look
constexpr int64_t kSamples = 256;  // words that decide which literals are compared in full

uint64_t sample(const Tensor& t) {
  Hasher h;
  h.add(static_cast<uint64_t>(t.bytes()));
  const int64_t words = t.bytes() / 8, step = std::max<int64_t>(words / kSamples, 1);
  for (int64_t i = 0; i < words; i += step) {
    uint64_t word = 0;
    std::memcpy(&word, t.stored() + 8 * i, sizeof word);
    h.add(word);
  }
  return h.value();
}

}  // namespace

Tensor SharedLiterals::shared(const Tensor& t) {
  const uint64_t key = sample(t);
  const auto [first, last] = by_sample_.equal_range(key);
  for (auto it = first; it != last; ++it)
    if (identical(it->second, t)) return it->second;
  by_sample_.emplace(key, t);
  return t;
}

void SharedLiterals::share(Plan& plan) {
  const std::lock_guard lock(mutex_);
  for (Tensor& t : plan.constants)
    if (t.bytes() >= kLarge) t = shared(t);
}

void SharedLiterals::forget() {
  const std::lock_guard lock(mutex_);
  by_sample_.clear();
}

}  // namespace lathe
