#include "bench/compare/measure.h"

#include <algorithm>
#include <chrono>

namespace lathe::compare {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLeastSamples = 5;
constexpr double kSampleSeconds = 50e-6;  // shorter calls are timed several at once

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Floats small_integers(int64_t size, std::mt19937& random) {
  Floats out(static_cast<size_t>(size));
  for (float& x : out) x = static_cast<float>(static_cast<int>(random() % 9) - 4);
  return out;
}

double median_milliseconds(const std::function<void()>& call, double budget) {
  call();
  const Clock::time_point first = Clock::now();
  call();
  const int calls = std::max(1, static_cast<int>(kSampleSeconds / seconds_since(first)));
  std::vector<double> samples;
  const Clock::time_point start = Clock::now();
  while (std::ssize(samples) < kLeastSamples || seconds_since(start) < budget) {
    const Clock::time_point begin = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    samples.push_back(seconds_since(begin) / calls);
  }
  std::nth_element(samples.begin(), samples.begin() + std::ssize(samples) / 2, samples.end());
  return 1e3 * samples[samples.size() / 2];
}

}  // namespace lathe::compare
