// How near Lathe is to what the machine can do: times beside the time that the bound allows, both
// of the same moment.
//
//   share WHAT THREADS SECONDS
//
// measures each case of WHAT for SECONDS and prints one line of JSON:
//   lstm   beside its multiply-adds in registers
//   gemm   products with a literal, the same, with the instructions of LATHE_ISA
//   gemv   beside reading the weights, which are larger than L3
//   copy   elementwise functions and rows' normalisations beyond L2, beside memcpy of the same
//   arrays
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backends/compile.h"
#include "bench/compare/gemm.h"
#include "bench/compare/measure.h"
#include "frontend/nn.h"
#include "frontend/nn/activation.h"
#include "ir/base/error.h"
#include "runtime/roof.h"

namespace lathe::compare {
namespace {

constexpr double kCopyTurns = 4;  // that a function and memcpy take

struct Setup {
  CompileOptions options;
  double seconds;
};

Tensor noise(const Dims& dims) {
  std::mt19937 random(1);
  Tensor out = Tensor::empty(DType::f32, dims);
  std::generate_n(out.mutable_data<float>(), out.size(), [&] {
    return static_cast<float>(random() >> 8) / static_cast<float>(1 << 23) - 1;
  });
  return out;
}

// A compiled graph with its memory.
class Subject {
 public:
  Subject(const Graph& graph, const CompileOptions& options)
      : executable_(compile(graph, options)) {
    for (const Port& in : executable_->inputs()) inputs_.push_back(noise(in.dims));
    outputs_ = executable_->run(inputs_);
    for (const Tensor& t : inputs_) in_.push_back(const_cast<void*>(t.raw()));
    for (Tensor& t : outputs_) out_.push_back(t.mutable_raw());
  }
  void run() { executable_->run(in_, out_); }
  double milliseconds(double seconds) {
    return median_milliseconds([&] { run(); }, seconds);
  }
  const Tensor& input() const { return inputs_[0]; }
  Tensor& output() { return outputs_[0]; }

 private:
  std::unique_ptr<Executable> executable_;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<void*> in_, out_;
};

void print(const std::string& name, double ms, double bound_ms) {
  fmt::print("{{\"case\": \"{}\", \"ms\": {}, \"bound_ms\": {}}}\n", name, ms, bound_ms);
  std::fflush(stdout);
}

Roof roof(const Setup& setup) {
  return measure_roof(*setup.options.pool, setup.options.threads, setup.options.target.isa);
}

void beside_flops(const std::string& name, const Graph& graph, double flops, const Setup& setup) {
  Subject subject(graph, setup.options);
  const double ms = subject.milliseconds(setup.seconds);
  print(name, ms, 1e-6 * flops / roof(setup).gflops);
}

void lstm(const Setup& setup) {
  constexpr int64_t kBatch = 32, kSteps = 100, kUnits = 128;
  nn::Network net("lstm", nn::Mode::Inference, 1);
  const Expr x = net.input("x", DType::f32, Shape{kBatch, kSteps, kUnits});
  const Model model = net.finish({net.lstm(x, kUnits, {.return_sequences = true})});
  beside_flops("LSTM 128 > 128, batch 32, 100 steps", freeze(model),
               2.0 * kBatch * kSteps * (2 * kUnits) * (4 * kUnits), setup);
}

Graph product(int64_t m, int64_t n, int64_t k) {
  Graph graph("product");
  const Expr a = input(graph, "a", {DType::f32, {m, k}});
  graph.add_output("c", matmul(a, constant(graph, noise({k, n}))).value);
  return graph;
}

// Those of the compared shapes that are large enough for the bound to be the arithmetic.
void gemm(const Setup& setup) {
  for (const auto& [model, m, n, k] : gemm_shapes())
    if (m >= 32 && n >= 64 && k >= 128)
      beside_flops(fmt::format("{} {}x{}x{}", model, m, n, k), product(m, n, k),
                   2.0 * static_cast<double>(m * n * k), setup);
}

void gemv(const Setup& setup) {
  struct Size {
    int64_t n, k;
  };
  const auto beside_reading = [&](const std::string& name, const Graph& graph, Size s) {
    Subject subject(graph, setup.options);
    const double ms = subject.milliseconds(setup.seconds);
    const double bytes = 4.0 * static_cast<double>(s.n * s.k);
    print(name, ms, 1e-6 * bytes / roof(setup).read_gbs);
  };
  for (const Size s : {Size{50257, 768}, {8192, 8192}, {4096, 16384}})
    beside_reading(fmt::format("dense {} > {}, batch 1", s.k, s.n), product(1, s.n, s.k), s);
  constexpr Size kMatrix{8192, 8192};
  Graph rows("rows"), columns("columns");
  const auto add = [&](Graph& g, int64_t axis) {
    const Expr a = input(g, "a", {DType::f32, {kMatrix.n, kMatrix.k}});
    const Expr x = input(g, "x", {DType::f32, {kMatrix.k}});
    g.add_output(
        "y", dot_general(a, x, {.lhs_contract = {axis}, .rhs_contract = {0}, .dtype = DType::f32})
                 .value);
  };
  add(rows, 1), add(columns, 0);
  beside_reading("A x, A 8192x8192 an input", rows, kMatrix);
  beside_reading("A^T x, A 8192x8192 an input", columns, kMatrix);
}

struct Elementwise {
  const char* name;
  Expr (*of)(const Expr& x);
};

Expr layer_norm(const Expr& x) {
  const Expr centred = x - keep_axes(reduce_mean(x, {1}), {1});
  const Expr variance = keep_axes(reduce_mean(centred * centred, {1}), {1});
  return centred / sqrt(variance + 1e-5);
}

constexpr Elementwise kElementwise[] = {
    {"exp", [](const Expr& x) { return exp(x); }},
    {"tanh", [](const Expr& x) { return tanh(x); }},
    {"sigmoid", [](const Expr& x) { return nn::activate(nn::Activation::Sigmoid, x); }},
    {"erf", [](const Expr& x) { return erf(x); }},
    {"gelu", [](const Expr& x) { return nn::activate(nn::Activation::Gelu, x); }},
    {"softmax", [](const Expr& x) { return nn::softmax(x, {1}); }},
    {"layer norm", layer_norm},
    {"x sigmoid(x) + max(x, 0) / 2",
     [](const Expr& x) { return nn::activate(nn::Activation::Swish, x) + max(x, 0) * 0.5; }},
    {"tanh(3 x + 1) exp(-x)", [](const Expr& x) { return tanh(x * 3 + 1) * exp(-x); }}};

void copy(const Setup& setup) {
  constexpr int64_t kColumns = 1024;
  for (const int64_t rows : {1024, 16384})
    for (const auto& [name, of] : kElementwise) {
      Graph graph("elementwise");
      graph.add_output("y", of(input(graph, "x", {DType::f32, {rows, kColumns}})).value);
      Subject subject(graph, setup.options);
      const auto part = [&](int thread, int threads) {
        const size_t bytes = sizeof(float) * static_cast<size_t>(rows * kColumns / threads);
        std::memcpy(static_cast<std::byte*>(subject.output().mutable_raw()) + bytes * thread,
                    static_cast<const std::byte*>(subject.input().raw()) + bytes * thread, bytes);
      };
      std::vector<double> ms, bound;
      for (int turn = 0; turn < kCopyTurns; ++turn) {
        ms.push_back(subject.milliseconds(setup.seconds / kCopyTurns));
        bound.push_back(median_milliseconds(
            [&] { setup.options.pool->parallel_region(setup.options.threads, part); },
            setup.seconds / kCopyTurns));
      }
      print(fmt::format("{}, {} MiB", name, rows * kColumns * 4 >> 20),
            *std::ranges::min_element(ms), *std::ranges::min_element(bound));
    }
}

int run(const std::string& what, Setup setup) {
  setup.options.pool = std::make_shared<ThreadPool>(setup.options.threads);
  setup.options.wait_compile = true;
  if (what == "lstm") return lstm(setup), 0;
  if (what == "gemm") return gemm(setup), 0;
  if (what == "gemv") return gemv(setup), 0;
  if (what == "copy") return copy(setup), 0;
  fmt::print(stderr, "share: WHAT is lstm, gemm, gemv or copy, not '{}'\n", what);
  return 2;
}

}  // namespace
}  // namespace lathe::compare

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: {} WHAT THREADS SECONDS\n", argv[0]);
    return 2;
  }
  lathe::compare::Setup setup{lathe::compile_options(), std::atof(argv[3])};
  setup.options.threads = std::atoi(argv[2]);
  return lathe::compare::run(argv[1], setup);
}
