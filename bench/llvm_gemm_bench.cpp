// GFLOP/s of the LLVM backend's contractions on one thread, chunk by chunk as the scheduler cuts
// them, beside what AVX2 multiply-adds reach. A few rows of each product are compared bit by bit
// with a loop of fma (on FMA machines). Times are of the thread's CPU clock, the best of many
// calls: other work on the machine only ever adds.
//
//   llvm_gemm_bench [seconds per shape] [index of the only shape]
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backends/llvm_module.h"
#include "passes/kernel_passes.h"
#include "runtime/cpu.h"

namespace lathe {
namespace {

struct Shape {
  int64_t m, n, k;
  bool a_transposed = false, b_transposed = false, adam = false;
};

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

using Vector __attribute__((vector_size(32))) = float;

// What independent fused multiply-adds in AVX2 registers reach on this core now, by the same clock.
__attribute__((target("avx2,fma"))) double fma_gflops() {
  constexpr int kChains = 12, kSteps = 100000;
  Vector c0{}, c1{}, c2{}, c3{}, c4{}, c5{}, c6{}, c7{}, c8{}, c9{}, c10{}, c11{};
  const Vector a = Vector{} + 0.5f, b = Vector{} + 0.25f;
  const auto fma = [&](Vector& c) __attribute__((always_inline, target("avx2,fma"))) {
    asm volatile("vfmadd231ps %1, %2, %0" : "+x"(c) : "x"(a), "x"(b));
  };
  double best = 1e30;
  for (int run = 0; run < 20; ++run) {
    const double start = cpu_seconds();
    for (int i = 0; i < kSteps; ++i) {
      fma(c0), fma(c1), fma(c2), fma(c3), fma(c4), fma(c5);
      fma(c6), fma(c7), fma(c8), fma(c9), fma(c10), fma(c11);
    }
    best = std::min(best, cpu_seconds() - start);
  }
  return 2e-9 * 8 * kChains * kSteps / best;
}

class Product {
 public:
  explicit Product(const Shape& s) {
    k_.core = Core::Reduce;
    k_.par = {s.m, s.n};
    k_.red = {s.k};
    const auto m = IndexExpr::symbol(0), n = IndexExpr::symbol(1), k = IndexExpr::symbol(2);
    const int64_t size = s.m * s.n;
    k_.operands = {{DType::f32, s.m * s.k, OperandRole::In},
                   {DType::f32, s.k * s.n, OperandRole::In},
                   {DType::f32, size, OperandRole::Out}};
    load(0, s.a_transposed ? m + k * s.m : m * s.k + k);
    load(1, s.b_transposed ? n * s.k + k : n + k * s.n);
    k_.pre = 2;
    k_.reductions = {{Combine::Fma, DType::f32, 0, 1}};
    const IndexExpr at = m * s.n + n;
    const ScalarId sum = add(Scalar::Acc);
    k_.stores = {{{2, at, {}}, sum}};
    if (s.adam) adam(sum, at, size);
  }
  const Kernel& kernel() const { return k_; }

 private:
  ScalarId add(Scalar op, ScalarId a = -1, ScalarId b = -1) {
    Instr in;
    in.op = op, in.args = {a, b, -1};
    k_.body.push_back(in);
    return static_cast<ScalarId>(k_.body.size()) - 1;
  }
  ScalarId load(int operand, const IndexExpr& offset) {
    const ScalarId id = add(Scalar::Load);
    k_.body.back().access = {operand, offset, {}};
    return id;
  }
  ScalarId constant(double v) {
    const ScalarId id = add(Scalar::Const);
    k_.body.back().number = v;
    return id;
  }
  // The moments and the parameter in place, as in a training step.
  void adam(ScalarId g, const IndexExpr& at, int64_t size) {
    for (int i = 0; i < 3; ++i) k_.operands.push_back({DType::f32, size, OperandRole::InOut});
    const auto decay = [&](int operand, double keep, ScalarId x) {
      const ScalarId old = add(Scalar::Mul, load(operand, at), constant(keep));
      const ScalarId v = add(Scalar::Add, old, add(Scalar::Mul, x, constant(1 - keep)));
      k_.stores.push_back({{operand, at, {}}, v});
      return v;
    };
    const ScalarId m = decay(3, 0.9, g), v = decay(4, 0.999, add(Scalar::Mul, g, g));
    const ScalarId root = add(Scalar::Add, add(Scalar::Sqrt, v), constant(1e-7));
    const ScalarId step = add(Scalar::Mul, add(Scalar::Div, m, root), constant(1e-3));
    k_.stores.push_back({{5, at, {}}, add(Scalar::Sub, load(5, at), step)});
  }

  Kernel k_;
};

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

bool measure(const Shape& s, double seconds, const Target& target, LlvmBackend& backend) {
  const Product product(s);
  const Kernel& k = product.kernel();
  const KernelSchedule schedule = choose_schedule(k, target);
  const KernelJob job{&k, schedule, "product"};
  const double before = cpu_seconds();
  const CompiledKernel compiled = backend.compile({&job, 1}, target).value().front();
  const double compile_seconds = cpu_seconds() - before;

  std::vector<std::vector<float>> data;
  std::vector<void*> args;
  for (const Operand& o : k.operands) data.push_back(noise(o.size, 1 + data.size()));
  for (auto& v : data) args.push_back(v.data());
  for (size_t i = 3; i < data.size(); ++i) std::ranges::fill(data[i], 1.0f);
  const int64_t extent = schedule.parallel < 0 ? 1 : k.par[static_cast<size_t>(schedule.parallel)];
  const auto call = [&] {
    for (int64_t i = 0; i < extent; i += schedule.grain)
      compiled.fn(args.data(), i, std::min(i + schedule.grain, extent), compiled.context);
  };
  call();
  const bool same = !target.has_fma() || correct(s, data[0], data[1], data[2]);
  double best = 1e30;
  const double start = cpu_seconds();
  while (cpu_seconds() - start < seconds) {
    const double t = cpu_seconds();
    call();
    best = std::min(best, cpu_seconds() - t);
  }
  const double roof = target.has_fma() ? fma_gflops() : 0;
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

int run(double seconds, int only) {
  const auto backend = LlvmBackend::open();
  if (!backend) {
    fmt::print("{}\n", backend.error());
    return 1;
  }
  const std::vector<Shape> shapes = {{128, 512, 3200, true, false, true},
                                     {128, 256, 3200, true, false, true},
                                     {64, 256, 3200, true, false, true},
                                     {64, 10, 3200, true, false, true},
                                     {32, 512, 128},
                                     {32, 256, 64},
                                     {32, 128, 512, false, true},
                                     {32, 64, 256, false, true},
                                     {3200, 512, 128},
                                     {3200, 128, 512, false, true},
                                     {128, 768, 768},
                                     {128, 768, 3072},
                                     {1024, 1024, 1024},
                                     {16, 512, 128},
                                     {64, 512, 128},
                                     {64, 512, 784},
                                     {784, 512, 64, true, false, true}};
  const Target target = detect_cpu().target;
  bool ok = true;
  for (int i = 0; i < static_cast<int>(shapes.size()); ++i)
    if (only < 0 || only == i)
      ok &= measure(shapes[static_cast<size_t>(i)], seconds, target, **backend);
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  return lathe::run(argc > 1 ? std::atof(argv[1]) : 0.5, argc > 2 ? std::atoi(argv[2]) : -1);
}
