// Products of bytes, summed in i32, and of bf16, summed in f32: the 24 model shapes of
// bench/compare with a literal second factor, beside the measured roof of u8 by s8 or of bf16 and,
// where it was built with (LATHE_COMPARE), oneDNN. A row takes its samples in turns; times are
// medians of the wall clock. For threads other than all, OMP_NUM_THREADS says the same to oneDNN.
//
//   narrow_gemm_bench llvm|simd [seconds per shape] [threads] [u8s8|s8s8|bf16] [index of the only
//   shape]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "backends/compile.h"
#include "bench/compare/narrow_gemm.h"
#include "ir/expr.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"

namespace lathe {
namespace {

using compare::NarrowGemm;
using Clock = std::chrono::steady_clock;

constexpr size_t kModelShapes = 24;
constexpr int kTurns = 4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Tensor noise(DType t, Dims dims, unsigned seed) {
  std::mt19937 random(seed);
  Tensor out = Tensor::empty(t, std::move(dims));
  if (t == DType::bf16) {  // small integers, whose sums are exact
    for (int64_t i = 0; i < out.size(); ++i) out.set(i, static_cast<double>(random() % 9) - 4);
    return out;
  }
  auto* bytes = static_cast<uint8_t*>(out.mutable_raw());
  std::generate_n(bytes, out.size(), [&] { return static_cast<uint8_t>(random()); });
  return out;
}

bool correct(const NarrowGemm& g, const Tensor& c) {
  const auto [model, m, n, k] = g.shape;
  for (int64_t i = 0; i < m; i += std::max<int64_t>(m / 3, 1))
    for (int64_t j = 0; j < n; j += 1 + n / 500) {
      double sum = 0;
      for (int64_t r = 0; r < k; ++r) sum += g.a.at(i * k + r) * g.b.at(r * n + j);
      if (sum != c.at(i * n + j)) return false;
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

Engine lathe_engine(const NarrowGemm& g, const CompileOptions& options) {
  const auto [model, m, n, k] = g.shape;
  Graph graph("product");
  const Expr x = input(graph, "a", {g.a.dtype(), {m, k}});
  const DotAttrs attrs = {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = g.sum};
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
  const DType sum = setup.left == DType::bf16 ? DType::f32 : DType::i32;
  Tensor c = Tensor::zeros(sum, {s.m, s.n});
  const NarrowGemm gemm{s, noise(setup.left, {s.m, s.k}, 1), noise(setup.right, {s.k, s.n}, 2), sum,
                        c.mutable_raw()};
  std::vector<Engine> engines = {lathe_engine(gemm, setup.options)};
#if LATHE_ONEDNN
  engines.push_back({"oneDNN", compare::prepare_onednn(gemm), {}});
#endif
  for (Engine& e : engines) {
    std::memset(gemm.c, -1, static_cast<size_t>(c.bytes()));
    e.call();
    if (!correct(gemm, c)) fail("{}x{}x{}: {} is wrong", s.m, s.n, s.k, e.name);
  }
  for (int turn = 0; turn < kTurns; ++turn)
    for (Engine& e : engines) e.sample(setup.seconds / kTurns);
  const Roof roofs =
      measure_roof(*setup.options.pool, setup.options.threads, setup.options.target.isa);
  const double roof = setup.left == DType::bf16 ? roofs.bf16_gflops : roofs.byte_gops;
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
  if (!backend || (types != "u8s8" && types != "s8s8" && types != "bf16")) {
    fmt::print(
        stderr,
        "usage: {} llvm|simd [seconds per shape] [threads] [u8s8|s8s8|bf16] [index of the only "
        "shape]\n",
        argv[0]);
    return 2;
  }
  const bool pairs = types == "bf16";
  lathe::Setup setup{lathe::compile_options(),
                     pairs             ? DType::bf16
                     : types[0] == 'u' ? DType::u8
                                       : DType::i8,
                     pairs ? DType::bf16 : DType::i8, argc > 2 ? std::atof(argv[2]) : 0.5};
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
