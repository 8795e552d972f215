// Products of bytes, summed in i32, and of bf16, summed in f32: the 24 model shapes of
// bench/compare with a literal second factor, beside the measured roof and, where it was built with
// (LATHE_COMPARE), oneDNN, whose threads OMP_NUM_THREADS says.
//
//   narrow_gemm_bench u8s8|s8s8|bf16 THREADS SECONDS [llvm|simd [INDEX of the only shape]]
//
// compares each shape's sums with exact ones, measures it for SECONDS, the engines in turns, and
// prints a line of JSON: medians in milliseconds, and the implementation that Lathe chose.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "backends/compile.h"
#include "bench/compare/measure.h"
#include "bench/compare/narrow_gemm.h"
#include "ir/base/error.h"
#include "ir/expr.h"
#include "runtime/roof.h"

namespace lathe {
namespace {

using compare::NarrowGemm;

constexpr size_t kModelShapes = 24;
constexpr int kTurns = 4;

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

void measure(const compare::GemmShape& s, const Setup& setup) {
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
    for (Engine& e : engines)
      e.samples.push_back(compare::median_milliseconds(e.call, setup.seconds / kTurns));
  const Roof roofs =
      measure_roof(*setup.options.pool, setup.options.threads, setup.options.target.isa);
  const double roof = setup.left == DType::bf16 ? roofs.bf16_gflops : roofs.byte_gops;
  fmt::print("{{\"case\": \"{} {}x{}x{}\", \"ms\": {}, \"kernel\": \"{}\"", s.model, s.m, s.n, s.k,
             engines[0].median(), engines[0].name);
  if (roof > 0)
    fmt::print(", \"bound_ms\": {}", 2e-6 * static_cast<double>(s.m * s.n * s.k) / roof);
  if (engines.size() > 1) fmt::print(", \"onednn_ms\": {}", engines[1].median());
  fmt::print("}}\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  using lathe::DType;
  const std::string types = argc > 3 ? argv[1] : "";
  const auto backend = lathe::parse_backend(argc > 4 ? argv[4] : "llvm");
  if (!backend || (types != "u8s8" && types != "s8s8" && types != "bf16")) {
    fmt::print(stderr, "usage: {} u8s8|s8s8|bf16 THREADS SECONDS [llvm|simd [INDEX]]\n", argv[0]);
    return 2;
  }
  lathe::Setup setup{lathe::compile_options(),
                     types == "bf16"   ? DType::bf16
                     : types == "u8s8" ? DType::u8
                                       : DType::i8,
                     types == "bf16" ? DType::bf16 : DType::i8, std::atof(argv[3])};
  setup.options.backend = *backend;
  setup.options.threads = std::atoi(argv[2]);
  setup.options.pool = std::make_shared<lathe::ThreadPool>(setup.options.threads);
  auto shapes = lathe::compare::gemm_shapes();
  shapes.resize(lathe::kModelShapes);
  if (argc > 5) shapes = {shapes.at(static_cast<size_t>(std::atoi(argv[5])))};
  try {
    for (const auto& shape : shapes) lathe::measure(shape, setup);
  } catch (const lathe::Error& error) {
    fmt::print(stderr, "narrow_gemm_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
