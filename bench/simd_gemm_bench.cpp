// GFLOP/s of the xsimd backend's contractions beside the measured FMA roof, one thread. Each
// product is compared with the interpreter's bits first on FMA machines (on a few rows; the whole
// takes the interpreter minutes).
//
//   simd_gemm_bench [seconds per shape]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backends/simd/simd.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

struct Shape {
  int64_t m, n, k;
  bool a_transposed, b_transposed;
};

IndexExpr term(SymbolId s, int64_t coefficient) { return IndexExpr::symbol(s) * coefficient; }

Instr load(int operand, IndexExpr offset) {
  Instr in;
  in.op = Scalar::Load;
  in.access = {operand, std::move(offset), {}};
  return in;
}

Instr accumulator() {
  Instr in;
  in.op = Scalar::Acc;
  return in;
}

Kernel product(const Shape& s) {
  Kernel k;
  k.core = Core::Reduce;
  k.par = {s.m, s.n};
  k.red = {s.k};
  k.operands = {{DType::f32, s.m * s.k, OperandRole::In},
                {DType::f32, s.k * s.n, OperandRole::In},
                {DType::f32, s.m * s.n, OperandRole::Out}};
  k.body = {load(0, s.a_transposed ? term(0, 1) + term(2, s.m) : term(0, s.k) + term(2, 1)),
            load(1, s.b_transposed ? term(1, s.k) + term(2, 1) : term(1, 1) + term(2, s.n)),
            accumulator()};
  k.pre = 2;
  k.reductions = {{Combine::Fma, DType::f32, 0, 1}};
  k.stores = {{{2, term(0, s.n) + term(1, 1), {}}, 2}};
  return k;
}

std::vector<float> noise(int64_t n, uint32_t seed) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(seed >> 8) / (1 << 23) - 1;
  }
  return v;
}

bool correct(const Shape& s, const std::vector<float>& a, const std::vector<float>& b,
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

// Seconds of a call: the tenth percentile, for other work on the machine only ever adds.
template <class F>
double typical_seconds(double budget, F&& call) {
  std::vector<double> times;
  const auto start = Clock::now();
  do {
    const auto t = Clock::now();
    call();
    times.push_back(std::chrono::duration<double>(Clock::now() - t).count());
  } while (std::chrono::duration<double>(Clock::now() - start).count() < budget);
  std::ranges::sort(times);
  return times[times.size() / 10];
}

int run(double seconds) {
  const Target target = detect_cpu().target;
  ThreadPool pool(1);
  bool ok = true;
  for (const Shape& s : {Shape{128, 768, 768, false, false}, Shape{128, 768, 768, false, true},
                         Shape{32, 512, 128, false, false}, Shape{64, 10, 128, false, false},
                         Shape{3200, 512, 128, false, false}, Shape{3200, 512, 128, false, true},
                         Shape{128, 512, 3200, true, false}, Shape{1, 1000, 2048, false, false},
                         Shape{1024, 1024, 1024, false, false}}) {
    const Kernel k = product(s);
    const CompiledKernel compiled = simd_kernel(k, {}, target).value();
    std::vector<float> a = noise(s.m * s.k, 1), b = noise(s.k * s.n, 2);
    std::vector<float> c(static_cast<size_t>(s.m * s.n));
    void* args[] = {a.data(), b.data(), c.data()};
    compiled.fn(args, 0, 1, compiled.context);
    const bool same = !target.has_fma() || correct(s, a, b, c);
    ok &= same;
    const double roof = measure_roof(pool, 1, target.isa).gflops;
    const double best =
        typical_seconds(seconds, [&] { compiled.fn(args, 0, 1, compiled.context); });
    const double gflops = 2e-9 * static_cast<double>(s.m * s.n * s.k) / best;
    fmt::print("{:>5}x{:>4}x{:>4} {}{}  {:7.1f} GFLOP/s  {:5.1f} % of {:.0f}  {}  {}\n", s.m, s.n,
               s.k, s.a_transposed ? 'T' : '-', s.b_transposed ? 'T' : '-', gflops,
               100 * gflops / roof, roof, compiled.implementation, same ? "same bits" : "WRONG");
  }
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) { return lathe::run(argc > 1 ? std::atof(argv[1]) : 0.5); }
