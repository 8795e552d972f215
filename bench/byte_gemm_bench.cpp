// Products of bytes, summed in i32, on one thread: the 24 model shapes of bench/compare with a
// literal second factor, beside the measured roof of u8 by s8. Times are of the thread's CPU clock,
// the best of many runs: other work on the machine only ever adds.
//
//   byte_gemm_bench llvm|simd [seconds per shape] [u8s8|s8s8|u8u8] [index of the only shape]
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>

#include "backends/compile.h"
#include "bench/compare/gemm.h"
#include "ir/expr.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"

namespace lathe {
namespace {

constexpr size_t kModelShapes = 24;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

Tensor noise(DType t, Dims dims, unsigned seed) {
  std::mt19937 random(seed);
  Tensor out = Tensor::empty(t, std::move(dims));
  auto* bytes = static_cast<uint8_t*>(out.mutable_raw());
  std::generate_n(bytes, out.size(), [&] { return static_cast<uint8_t>(random()); });
  return out;
}

bool correct(const Tensor& a, const Tensor& b, const Tensor& c) {
  const int64_t m = c.dims()[0], n = c.dims()[1], k = a.dims()[1];
  for (int64_t i = 0; i < m; i += std::max<int64_t>(m / 3, 1))
    for (int64_t j = 0; j < n; j += 1 + n / 500) {
      int64_t sum = 0;
      for (int64_t r = 0; r < k; ++r) sum += a.int_at(i * k + r) * b.int_at(r * n + j);
      if (sum != c.int_at(i * n + j)) return false;
    }
  return true;
}

bool measure(const compare::GemmShape& s, DType left, DType right, Backend backend,
             double seconds) {
  const Tensor a = noise(left, {s.m, s.k}, 1), b = noise(right, {s.k, s.n}, 2);
  Graph graph("product");
  const Expr x = input(graph, "a", {left, {s.m, s.k}});
  graph.add_output("c", dot_general(x, constant(graph, b),
                                    {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = DType::i32})
                            .value);
  CompileOptions options = compile_options();
  options.threads = 1;
  options.backend = backend;
  const auto executable = compile(graph, options);
  Tensor c = Tensor::zeros(DType::i32, {s.m, s.n});
  void* const in[] = {const_cast<void*>(a.raw())};
  void* const out[] = {c.mutable_raw()};
  executable->run(in, out);
  const bool same = correct(a, b, c);
  double best = 1e30;
  const double start = cpu_seconds();
  while (cpu_seconds() - start < seconds) {
    const double t = cpu_seconds();
    executable->run(in, out);
    best = std::min(best, cpu_seconds() - t);
  }
  executable->profile(true);
  executable->run(in, out);
  ThreadPool pool(1);
  const double roof = measure_roof(pool, 1, options.target.isa).byte_gops;
  const double gops = 2e-9 * static_cast<double>(s.m * s.n * s.k) / best;
  fmt::print("{:11} {:>4}x{:>5}x{:>4} {:8.1f} us {:6.1f} Gop/s {:5.1f} % of {:.0f}  {}  {}\n",
             s.model, s.m, s.n, s.k, 1e6 * best, gops, roof > 0 ? 100 * gops / roof : 0, roof,
             executable->times()[0].name, same ? "exact" : "WRONG");
  std::fflush(stdout);
  return same;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  using lathe::DType;
  const auto backend = lathe::parse_backend(argc > 1 ? argv[1] : "");
  const std::string types = argc > 3 ? argv[3] : "u8s8";
  if (!backend || types.size() != 4) {
    fmt::print(stderr,
               "usage: {} llvm|simd [seconds per shape] [u8s8|s8s8|u8u8] [index of the only "
               "shape]\n",
               argv[0]);
    return 2;
  }
  const auto type = [](char sign) { return sign == 'u' ? DType::u8 : DType::i8; };
  auto shapes = lathe::compare::gemm_shapes();
  shapes.resize(lathe::kModelShapes);
  const int only = argc > 4 ? std::atoi(argv[4]) : -1;
  bool ok = true;
  for (int i = 0; i < static_cast<int>(shapes.size()); ++i)
    if (only < 0 || only == i)
      ok &= lathe::measure(shapes[static_cast<size_t>(i)], type(types[0]), type(types[2]), *backend,
                           argc > 2 ? std::atof(argv[2]) : 0.5);
  return ok ? 0 : 1;
}
