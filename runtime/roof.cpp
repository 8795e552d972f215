#include "runtime/roof.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "ir/base/error.h"
#include "runtime/roof_kernels.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSamples = 9;
constexpr double kSampleSeconds = 0.006;
constexpr size_t kArrayBytes = size_t{64} << 20;  // beyond the share of L3 that one process gets

roof::Loop fma_loop(Isa isa) {
#if defined(__x86_64__)
  constexpr std::array<roof::Loop, 4> kLoops = {roof::fma_scalar, roof::fma_sse42, roof::fma_avx2,
                                                roof::fma_avx512};
  return kLoops[static_cast<size_t>(isa)];
#else
  static_cast<void>(isa);
  return roof::fma_scalar;
#endif
}

// Null where the CPU has none.
roof::Loop byte_loop(Isa isa) {
#if defined(__x86_64__)
  return isa == Isa::avx512 && detect_cpu().native.vnni ? roof::bytes_vnni : nullptr;
#else
  static_cast<void>(isa);
  return nullptr;
#endif
}

roof::Loop bf16_loop(Isa isa) {
#if defined(__x86_64__)
  return isa == Isa::avx512 && detect_cpu().native.bf16 ? roof::pairs_bf16 : nullptr;
#else
  static_cast<void>(isa);
  return nullptr;
#endif
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The median of kSamples rates. `run()` does the work once, `amount` of it, on all threads.
template <class Run>
double median_rate(double amount, Run run) {
  run();  // wakes the threads and touches the memory
  std::array<double, kSamples> rates;
  for (double& rate : rates) {
    Clock::time_point start = Clock::now();
    run();
    rate = amount / seconds_since(start);
  }
  std::nth_element(rates.begin(), rates.begin() + kSamples / 2, rates.end());
  return rates[kSamples / 2];
}

// In 1e9 operations a second.
double measure_rate(ThreadPool& pool, int threads, roof::Loop loop) {
  constexpr int64_t kProbe = 100000;
  loop(kProbe);
  Clock::time_point start = Clock::now();
  loop(kProbe);
  auto rounds =
      static_cast<int64_t>(kProbe * kSampleSeconds / std::max(1e-6, seconds_since(start)));
  rounds = std::max<int64_t>(rounds, 1);
  double operations = static_cast<double>(loop(1)) * static_cast<double>(rounds) * threads;
  return median_rate(operations / 1e9,
                     [&] { pool.parallel_region(threads, [&](int, int) { loop(rounds); }); });
}

uint64_t sum_words(const uint64_t* words, size_t count) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8)
    for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

struct Part {
  size_t begin, count;
};

Part part_of(size_t words, int thread, int threads) {
  size_t begin = words * thread / threads, end = words * (thread + 1) / threads;
  return {begin, end - begin};
}

void measure_memory(ThreadPool& pool, Roof& roof) {
  constexpr size_t kWords = kArrayBytes / sizeof(uint64_t);
  auto from = std::make_unique_for_overwrite<uint64_t[]>(kWords);
  auto to = std::make_unique_for_overwrite<uint64_t[]>(kWords);
  // Written first: pages never written share one page of zeros, which the cache would hold.
  pool.parallel_region(roof.threads, [&](int thread, int threads) {
    Part part = part_of(kWords, thread, threads);
    std::memset(from.get() + part.begin, 1, part.count * sizeof(uint64_t));
  });
  roof.copy_gbs = median_rate(2 * kArrayBytes / 1e9, [&] {
    pool.parallel_region(roof.threads, [&](int thread, int threads) {
      Part part = part_of(kWords, thread, threads);
      std::memcpy(to.get() + part.begin, from.get() + part.begin, part.count * sizeof(uint64_t));
    });
  });
  std::vector<uint64_t> sums(roof.threads);
  roof.read_gbs = median_rate(kArrayBytes / 1e9, [&] {
    pool.parallel_region(roof.threads, [&](int thread, int threads) {
      Part part = part_of(kWords, thread, threads);
      sums[thread] = sum_words(to.get() + part.begin, part.count);
    });
  });
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  LATHE_ASSERT(total == kWords * 0x0101010101010101u, "the copied array sums to {}", total);
}

}  // namespace

Roof measure_roof(ThreadPool& pool, int threads, Isa isa) {
  LATHE_ASSERT(threads >= 1 && threads <= pool.threads(), "{} of {} threads", threads,
               pool.threads());
  LATHE_ASSERT(isa <= detect_cpu().native.isa, "{} on a CPU without it", name(isa));
  Roof roof;
  // A host's threads promise no concurrency, and then the roof is that of one thread.
  pool.parallel_region(threads, [&](int thread, int n) {
    if (thread == 0) roof.threads = n;
  });
  roof.gflops = measure_rate(pool, roof.threads, fma_loop(isa));
  if (const roof::Loop loop = byte_loop(isa))
    roof.byte_gops = measure_rate(pool, roof.threads, loop);
  if (const roof::Loop loop = bf16_loop(isa))
    roof.bf16_gflops = measure_rate(pool, roof.threads, loop);
  measure_memory(pool, roof);
  return roof;
}

}  // namespace lathe
