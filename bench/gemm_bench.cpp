// GFLOP/s of a backend's contractions on one thread, chunk by chunk as the scheduler cuts them,
// beside the measured roof. A few rows of each product are compared bit by bit with a loop of fma
// first (on FMA machines). Times are of the thread's CPU clock, the best of many calls: other work
// on the machine only ever adds.
//
//   gemm_bench llvm|simd [seconds per shape] [index of the only shape]
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backends/select.h"
#include "passes/kernel_passes.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"
#include "tests/support/gemm_kernel.h"

namespace lathe {
namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::vector<float> noise(int64_t n, uint32_t seed) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(seed >> 8) / (1 << 23) - 1;
  }
  return v;
}

bool correct(const GemmShape& s, const std::vector<float>& a, const std::vector<float>& b,
             const std::vector<float>& c) {
  for (int64_t i = 0; i < s.m; i += std::max<int64_t>(s.m / 3, 1))
    for (int64_t j = 0; j < s.n; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < s.k; ++k)
        sum = std::fma(a[static_cast<size_t>(s.a_transposed ? k * s.m + i : i * s.k + k)],
                       b[static_cast<size_t>(s.b_transposed ? j * s.k + k : k * s.n + j)], sum);
      if (std::memcmp(&sum, &c[static_cast<size_t>(i * s.n + j)], sizeof sum) != 0) return false;
    }
  return true;
}

bool measure(const GemmShape& s, Backend backend, double seconds, const Target& target) {
  Program p;
  p.kernels = {gemm_kernel(s)};
  p.schedules = {choose_schedule(p.kernels[0], target)};
  const Kernel& k = p.kernels[0];
  const KernelSchedule& schedule = p.schedules[0];
  const double before = cpu_seconds();
  const CompiledKernel compiled = select_kernels(p, target, backend, 1).front();
  const double compile_seconds = cpu_seconds() - before;

  std::vector<std::vector<float>> data;
  std::vector<void*> args;
  for (const Operand& o : k.operands) data.push_back(noise(o.size, 1 + data.size()));
  for (auto& v : data) args.push_back(v.data());
  for (size_t i = 4; i < data.size(); ++i) std::ranges::fill(data[i], 1.0f);
  const int64_t extent = schedule.parallel < 0 ? 1 : k.par[static_cast<size_t>(schedule.parallel)];
  const auto call = [&] {
    for (int64_t i = 0; i < extent; i += schedule.grain)
      compiled.fn(args.data(), i, std::min(i + schedule.grain, extent), compiled.context);
  };
  call();
  const bool same = !target.has_fma() || correct(s, data[0], data[1], data[3]);
  double best = 1e30;
  const double start = cpu_seconds();
  while (cpu_seconds() - start < seconds) {
    const double t = cpu_seconds();
    call();
    best = std::min(best, cpu_seconds() - t);
  }
  ThreadPool pool(1);
  const double roof = measure_roof(pool, 1, target.isa).gflops;
  const double gflops = 2e-9 * static_cast<double>(s.m * s.n * s.k) / best;
  fmt::print(
      "{:>4}x{:>4}x{:>4} {}{}{} {:8.1f} us {:6.1f} GFLOP/s {:5.1f} % of {:.0f}  {}  "
      "{}x{}  {:.0f} ms  {}\n",
      s.m, s.n, s.k, s.a_transposed ? 'T' : '-', s.b_transposed ? 'T' : '-',
      s.adam ? "+adam" : "     ", 1e6 * best, gflops, 100 * gflops / roof, roof,
      compiled.implementation, schedule.parallel, schedule.grain, 1e3 * compile_seconds,
      same ? "same bits" : "WRONG");
  std::fflush(stdout);
  return same;
}

int run(Backend backend, double seconds, int only) {
  const std::vector<GemmShape> shapes = {
      {.m = 128, .n = 512, .k = 3200, .a_transposed = true, .adam = true},
      {.m = 128, .n = 256, .k = 3200, .a_transposed = true, .adam = true},
      {.m = 64, .n = 256, .k = 3200, .a_transposed = true, .adam = true},
      {.m = 64, .n = 10, .k = 3200, .a_transposed = true, .adam = true},
      {.m = 32, .n = 512, .k = 128},
      {.m = 32, .n = 256, .k = 64},
      {.m = 32, .n = 128, .k = 512, .b_transposed = true},
      {.m = 32, .n = 64, .k = 256, .b_transposed = true},
      {.m = 3200, .n = 512, .k = 128},
      {.m = 3200, .n = 128, .k = 512, .b_transposed = true},
      {.m = 128, .n = 768, .k = 768},
      {.m = 128, .n = 768, .k = 768, .b_transposed = true},
      {.m = 128, .n = 768, .k = 3072},
      {.m = 1024, .n = 1024, .k = 1024},
      {.m = 16, .n = 512, .k = 128},
      {.m = 64, .n = 512, .k = 128},
      {.m = 64, .n = 10, .k = 128},
      {.m = 64, .n = 512, .k = 784},
      {.m = 784, .n = 512, .k = 64, .a_transposed = true, .adam = true},
      {.m = 1, .n = 1000, .k = 2048}};
  const Target target = detect_cpu().target;
  bool ok = true;
  for (int i = 0; i < static_cast<int>(shapes.size()); ++i)
    if (only < 0 || only == i)
      ok &= measure(shapes[static_cast<size_t>(i)], backend, seconds, target);
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  const auto backend = lathe::parse_backend(argc > 1 ? argv[1] : "");
  if (!backend) {
    fmt::print(stderr, "usage: {} llvm|simd [seconds per shape] [index of the only shape]\n",
               argv[0]);
    return 2;
  }
  return lathe::run(*backend, argc > 2 ? std::atof(argv[2]) : 0.5,
                    argc > 3 ? std::atoi(argv[3]) : -1);
}
