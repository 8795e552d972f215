// Products of bytes, summed in i32: the 24 model shapes of bench/compare with a literal second
// factor, beside the measured roof of u8 by s8 and, where it was built with (LATHE_COMPARE),
// oneDNN. A row takes its samples in turns; times are medians of the wall clock. For threads other
// than all, OMP_NUM_THREADS says the same to oneDNN.
//
//   byte_gemm_bench llvm|simd [seconds per shape] [threads] [u8s8|s8s8] [index of the only shape]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>

#include "backends/compile.h"
#include "bench/compare/byte_gemm.h"
#include "ir/expr.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"

namespace lathe {
namespace {

using compare::ByteGemm;
using Clock = std::chrono::steady_clock;

constexpr size_t kModelShapes = 24;
constexpr int kTurns = 4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Tensor noise(DType t, Dims dims, unsigned seed) {
  std::mt19937 random(seed);
  Tensor out = Tensor::empty(t, std::move(dims));
  auto* bytes = static_cast<uint8_t*>(out.mutable_raw());
  std::generate_n(bytes, out.size(), [&] { return static_cast<uint8_t>(random()); });
  return out;
}

bool correct(const ByteGemm& g) {
  const auto [model, m, n, k] = g.shape;
  for (int64_t i = 0; i < m; i += std::max<int64_t>(m / 3, 1))
    for (int64_t j = 0; j < n; j += 1 + n / 500) {
      int64_t sum = 0;
      for (int64_t r = 0; r < k; ++r) sum += g.a.int_at(i * k + r) * g.b.int_at(r * n + j);
      if (sum != g.c[i * n + j]) return false;
    }
  return true;
}

struct Engine {
  std::string name;
  std::function<void()> call;
  std::vector<double> samples;
  double median() {
    std::ranges::nth_element(samples, samples.begin() + std::ssize(samples) / 2);
    return samples[samples.size() / 2];
  }
  void sample(double seconds) {
    call();
    const Clock::time_point start = Clock::now();
    while (seconds_since(start) < seconds) {
      const Clock::time_point begin = Clock::now();
      call();
      samples.push_back(seconds_since(begin));
    }
  }
};

Engine lathe_engine(const ByteGemm& g, const CompileOptions& options) {
  const auto [model, m, n, k] = g.shape;
  Graph graph("product");
  const Expr x = input(graph, "a", {g.a.dtype(), {m, k}});
  const DotAttrs attrs = {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = DType::i32};
  graph.add_output("c", dot_general(x, constant(graph, g.b), attrs).value);
  const std::shared_ptr<Executable> executable = compile(graph, options);
  const auto call = [executable, g] {
    void* const in[] = {const_cast<void*>(g.a.raw())};
    void* const out[] = {g.c};
    executable->run(in, out);
  };
  executable->profile(true);
  call();
  const std::string name = executable->times()[0].name;
  executable->profile(false);
  return {name, call, {}};
}

struct Setup {
  CompileOptions options;
  DType left, right;
  double seconds;
};

// Lathe's rate over that of oneDNN; 1 where there is none.
double measure(const compare::GemmShape& s, const Setup& setup) {
  Tensor c = Tensor::zeros(DType::i32, {s.m, s.n});
  const ByteGemm gemm{s, noise(setup.left, {s.m, s.k}, 1), noise(setup.right, {s.k, s.n}, 2),
                      c.mutable_data<int32_t>()};
  std::vector<Engine> engines = {lathe_engine(gemm, setup.options)};
#if LATHE_ONEDNN
  engines.push_back({"oneDNN", compare::prepare_onednn(gemm), {}});
#endif
  for (Engine& e : engines) {
    std::fill_n(gemm.c, s.m * s.n, -1);
    e.call();
    if (!correct(gemm)) fail("{}x{}x{}: {} is wrong", s.m, s.n, s.k, e.name);
  }
  for (int turn = 0; turn < kTurns; ++turn)
    for (Engine& e : engines) e.sample(setup.seconds / kTurns);
  const double roof =
      measure_roof(*setup.options.pool, setup.options.threads, setup.options.target.isa).byte_gops;
  const double operations = 2e-9 * static_cast<double>(s.m * s.n * s.k);
  const double ours = operations / engines[0].median();
  const double theirs = engines.size() > 1 ? operations / engines[1].median() : 0;
  fmt::print("| {} | {}x{}x{} | {} | {:.1f} | {:.0f} | {:.1f} | {:.2f} | {}\n", s.model, s.m, s.n,
             s.k, setup.options.threads, ours, roof > 0 ? 100 * ours / roof : 0, theirs,
             theirs > 0 ? ours / theirs : 0, engines[0].name);
  std::fflush(stdout);
  return theirs > 0 ? ours / theirs : 1;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  using lathe::DType;
  const auto backend = lathe::parse_backend(argc > 1 ? argv[1] : "");
  const std::string types = argc > 4 ? argv[4] : "u8s8";
  if (!backend || (types != "u8s8" && types != "s8s8")) {
    fmt::print(stderr,
               "usage: {} llvm|simd [seconds per shape] [threads] [u8s8|s8s8] [index of the only "
               "shape]\n",
               argv[0]);
    return 2;
  }
  lathe::Setup setup{lathe::compile_options(), types[0] == 'u' ? DType::u8 : DType::i8, DType::i8,
                     argc > 2 ? std::atof(argv[2]) : 0.5};
  setup.options.backend = *backend;
  setup.options.threads = argc > 3 ? std::atoi(argv[3]) : 1;
  setup.options.pool = std::make_shared<lathe::ThreadPool>(setup.options.threads);
  auto shapes = lathe::compare::gemm_shapes();
  shapes.resize(lathe::kModelShapes);
  const int only = argc > 5 ? std::atoi(argv[5]) : -1;
  double product = 0;
  for (int i = 0; i < static_cast<int>(shapes.size()); ++i)
    if (only < 0 || only == i)
      product += std::log(lathe::measure(shapes[static_cast<size_t>(i)], setup));
  if (only < 0)
    fmt::print("geometric mean over oneDNN {:.2f}\n",
               std::exp(product / static_cast<double>(shapes.size())));
  return 0;
}
