// Attention of 12 heads of 64, softmax(Q K' / 8) V with a causal mask and without, alone or with
// the gradients of Q, K and V, beside the measured roof of multiply-adds. Counted are the two
// products of T T 64 a head, and the four of the gradients, of what a causal mask leaves; what the
// gradients compute again (the scores) is not. Answers are compared with double first.
//
//   attention_bench forward|training THREADS SECONDS [TOKENS [profile]]
//
// measures each case for SECONDS and prints a line of JSON: times in milliseconds, and the memory
// that the plan takes beside inputs and outputs.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "backends/compile.h"
#include "bench/compare/measure.h"
#include "ir/base/error.h"
#include "ir/expr.h"
#include "passes/autodiff.h"
#include "runtime/roof.h"

namespace lathe {
namespace {

constexpr int64_t kHeads = 12, kSize = 64;
constexpr double kScale = 0.125;  // 1 / sqrt(kSize)
constexpr double kTolerance = 2e-5;

Graph attention(int64_t tokens, bool causal) {
  Graph g("attention");
  const Shape shape{kHeads, tokens, kSize};
  const Expr q = input(g, "q", {DType::f32, shape}), k = input(g, "k", {DType::f32, shape});
  const Expr v = input(g, "v", {DType::f32, shape});
  Expr scores = dot_general(q, k,
                            {.lhs_batch = {0},
                             .rhs_batch = {0},
                             .lhs_contract = {2},
                             .rhs_contract = {2},
                             .dtype = DType::f32}) *
                kScale;
  if (causal) {
    const Shape places{tokens, tokens};
    const Expr seen = le(iota(g, DType::i32, places, 1), iota(g, DType::i32, places, 0));
    scores = select(broadcast_to(seen, scores.shape()), scores,
                    full_like(scores, -std::numeric_limits<double>::infinity()));
  }
  const Expr e = exp(scores - keep_axes(stop_gradient(reduce_max(scores, {2})), {2}));
  const Expr shares = e / keep_axes(reduce_sum(e, {2}), {2});
  const Expr y = dot_general(shares, v,
                             {.lhs_batch = {0},
                              .rhs_batch = {0},
                              .lhs_contract = {2},
                              .rhs_contract = {1},
                              .dtype = DType::f32});
  g.add_output("y", y.value);
  return g;
}

// With d_q, d_k and d_v of a loss whose d_y depends on y, as it does in a model: y times a given
// tensor.
Graph with_gradients(Graph g) {
  const Expr y{&g, g.outputs()[0].value};
  std::vector<Expr> wrt;
  for (const GraphInput& in : g.inputs()) wrt.push_back({&g, in.value});
  const Expr weight = input(g, "weight", y.type());
  const Gradients gradients = add_gradients(g, {y}, {y * weight}, wrt);
  for (size_t i = 0; i < wrt.size(); ++i)
    g.add_output("d_" + g.inputs()[i].name, gradients.of[i].value);
  return g;
}

Tensor noise(int64_t tokens, uint32_t seed) {
  Tensor t = Tensor::empty(DType::f32, {kHeads, tokens, kSize});
  auto* x = static_cast<float*>(t.mutable_raw());
  for (int64_t i = 0; i < t.size(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = static_cast<float>(seed >> 8) / (1 << 22) - 2;
  }
  return t;
}

struct Case {
  int64_t tokens = 1024;
  bool causal = false, training = false;
};

// One head of the tensors, in double.
class Head {
 public:
  Head(const std::vector<Tensor>& in, const Case& c, int64_t head)
      : in_(in), tokens_(c.tokens), causal_(c.causal), head_(head) {}

  double at(size_t tensor, int64_t token, int64_t i) const {
    return in_[tensor].at((head_ * tokens_ + token) * kSize + i);
  }
  std::vector<double> shares(int64_t row) const {
    std::vector<double> p;
    for (int64_t j = 0; j < (causal_ ? row + 1 : tokens_); ++j)
      p.push_back(dot(0, row, 1, j) * kScale);
    const double most = *std::ranges::max_element(p);
    double sum = 0;
    for (double& x : p) sum += x = std::exp(x - most);
    for (double& x : p) x /= sum;
    return p;
  }
  double dot(size_t a, int64_t row, size_t b, int64_t other) const {
    double sum = 0;
    for (int64_t i = 0; i < kSize; ++i) sum += at(a, row, i) * at(b, other, i);
    return sum;
  }
  // Sum over tokens j of weights[j] times row j of a tensor.
  std::vector<double> mix(const std::vector<double>& weights, size_t tensor) const {
    std::vector<double> out(kSize, 0.0);
    for (size_t j = 0; j < weights.size(); ++j)
      for (int64_t i = 0; i < kSize; ++i)
        out[static_cast<size_t>(i)] += weights[j] * at(tensor, static_cast<int64_t>(j), i);
    return out;
  }
  // The gradient of row `row` of q, where d_y is tensor 3.
  std::vector<double> d_q(int64_t row) const {
    const std::vector<double> p = shares(row);
    std::vector<double> d;
    double mean = 0;
    for (size_t j = 0; j < p.size(); ++j) {
      d.push_back(dot(3, row, 2, static_cast<int64_t>(j)));
      mean += p[j] * d[j];
    }
    for (size_t j = 0; j < p.size(); ++j) d[j] = p[j] * (d[j] - mean) * kScale;
    return mix(d, 1);
  }

 private:
  const std::vector<Tensor>& in_;
  int64_t tokens_;
  bool causal_;
  int64_t head_;
};

bool correct(std::vector<Tensor> in, const std::vector<Tensor>& out, const Case& c) {
  if (c.training) {  // d_y in place of its weight
    Tensor d_y = Tensor::empty(DType::f32, in[3].dims());
    auto* x = static_cast<float*>(d_y.mutable_raw());
    for (int64_t i = 0; i < d_y.size(); ++i) x[i] = static_cast<float>(out[0].at(i) * in[3].at(i));
    in[3] = d_y;
  }
  for (int64_t h = 0; h < kHeads; h += 5) {
    const Head given(in, c, h), made(out, c, h);
    for (int64_t row = 0; row < c.tokens; row += c.tokens / 13) {
      const std::vector<double> y = given.mix(given.shares(row), 2);
      const std::vector<double> d_q = c.training ? given.d_q(row) : std::vector<double>{};
      for (int64_t i = 0; i < kSize; ++i)
        if (!(std::abs(made.at(0, row, i) - y[static_cast<size_t>(i)]) <= kTolerance) ||
            (c.training &&
             !(std::abs(made.at(1, row, i) - d_q[static_cast<size_t>(i)]) <= kTolerance)))
          return false;
    }
    if (!c.training) continue;
    // Shares sum to one, so d_v sums to what d_y does; and Q d_Q = S d_S = K d_K.
    double of_v = 0, of_y = 0, of_q = 0, of_k = 0;
    for (int64_t j = 0; j < c.tokens; ++j)
      for (int64_t i = 0; i < kSize; ++i) {
        of_v += made.at(3, j, i) * static_cast<double>(1 + i % 3);
        of_y += given.at(3, j, i) * static_cast<double>(1 + i % 3);
        of_q += given.at(0, j, i) * made.at(1, j, i);
        of_k += given.at(1, j, i) * made.at(2, j, i);
      }
    if (std::abs(of_v - of_y) > 1e-4 * static_cast<double>(c.tokens) ||
        std::abs(of_q - of_k) > 1e-4 * static_cast<double>(c.tokens))
      return false;
  }
  return true;
}

struct Setup {
  CompileOptions options;
  double seconds;
  bool profile;
};

double operations(const Case& c) {
  const double tokens = static_cast<double>(c.tokens);
  const double scores = c.causal ? tokens * (tokens + 1) / 2 : tokens * tokens;
  return (c.training ? 6.0 : 2.0) * 2 * static_cast<double>(kHeads * kSize) * scores;
}

void print_profile(Executable& executable, const std::vector<Tensor>& in) {
  executable.profile(true);
  executable.run(in);
  for (const auto& t : executable.times())
    fmt::print(stderr, "{:8.2f} ms {:6} calls  {}\n", 1e3 * t.seconds, t.calls, t.name);
}

void measure(const Case& c, const Setup& setup) {
  const std::string name = fmt::format("{}, {} tokens{}", c.training ? "training" : "forward",
                                       c.tokens, c.causal ? ", causal" : "");
  const Graph forward = attention(c.tokens, c.causal);
  const Graph g = c.training ? with_gradients(forward) : forward;
  const auto executable = compile(g, setup.options);
  std::vector<Tensor> in;
  for (uint32_t i = 0; i < g.inputs().size(); ++i) in.push_back(noise(c.tokens, i + 1));
  if (!correct(in, executable->run(in), c)) fail("{}: the answer is wrong", name);
  const double ms = compare::median_milliseconds([&] { executable->run(in); }, setup.seconds);
  const Roof roof =
      measure_roof(*setup.options.pool, setup.options.threads, setup.options.target.isa);
  fmt::print("{{\"case\": \"{}\", \"ms\": {}, \"bound_ms\": {}, \"arena_bytes\": {}}}\n", name, ms,
             1e-6 * operations(c) / roof.gflops, executable->arena_bytes());
  std::fflush(stdout);
  if (setup.profile) print_profile(*executable, in);
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  const std::string_view what = argc > 3 ? argv[1] : "";
  if (what != "forward" && what != "training") {
    fmt::print(stderr, "usage: {} forward|training THREADS SECONDS [TOKENS [profile]]\n", argv[0]);
    return 2;
  }
  lathe::Setup setup{lathe::compile_options(), std::atof(argv[3]),
                     argc > 5 && std::string_view(argv[5]) == "profile"};
  setup.options.threads = std::atoi(argv[2]);
  setup.options.pool = std::make_shared<lathe::ThreadPool>(setup.options.threads);
  setup.options.wait_compile = true;
  const int64_t only = argc > 4 ? std::atoll(argv[4]) : 0;
  try {
    for (const int64_t tokens : {1024, 4096})
      for (const bool causal : {false, true})
        if (only == 0 || only == tokens)
          lathe::measure({tokens, causal, what == "training"}, setup);
  } catch (const lathe::Error& error) {
    fmt::print(stderr, "attention_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
