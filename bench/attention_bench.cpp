// Attention of 12 heads of 64, softmax(Q K' / 8) V with a causal mask and without: milliseconds,
// GFLOP/s beside the measured roof, and the arena that its plan takes beside the inputs and
// outputs. GFLOP/s count both products whole (4 T^2 64 a head), also where a mask hides half of
// them. Some rows of each answer are compared with softmax in double first. Times are the best of
// many runs.
//
//   attention_bench [seconds per shape] [tokens of the only length, or 0] [profile]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "backends/compile.h"
#include "ir/expr.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"

namespace lathe {
namespace {

constexpr int64_t kHeads = 12, kSize = 64;
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
                (1 / std::sqrt(static_cast<double>(kSize)));
  if (causal) {
    const Shape places{tokens, tokens};
    const Expr seen = le(iota(g, DType::i32, places, 1), iota(g, DType::i32, places, 0));
    scores = select(broadcast_to(seen, scores.shape()), scores,
                    full_like(scores, -std::numeric_limits<double>::infinity()));
  }
  const Expr e = exp(scores - keep_axes(reduce_max(scores, {2}), {2}));
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

Tensor noise(int64_t tokens, uint32_t seed) {
  Tensor t = Tensor::empty(DType::f32, {kHeads, tokens, kSize});
  auto* x = static_cast<float*>(t.mutable_raw());
  for (int64_t i = 0; i < t.size(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = static_cast<float>(seed >> 8) / (1 << 22) - 2;
  }
  return t;
}

// One row of the answer, in double.
std::vector<double> expected(const std::vector<Tensor>& in, int64_t head, int64_t row,
                             bool causal) {
  const int64_t tokens = in[0].dims()[1], seen = causal ? row + 1 : tokens;
  const auto at = [&](int i, int64_t place, int64_t c) {
    return static_cast<double>(static_cast<const float*>(
        in[static_cast<size_t>(i)].raw())[(head * tokens + place) * kSize + c]);
  };
  std::vector<double> scores, out(kSize, 0.0);
  for (int64_t j = 0; j < seen; ++j) {
    double s = 0;
    for (int64_t c = 0; c < kSize; ++c) s += at(0, row, c) * at(1, j, c);
    scores.push_back(s / std::sqrt(static_cast<double>(kSize)));
  }
  const double most = *std::ranges::max_element(scores);
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - most);
  for (int64_t j = 0; j < seen; ++j)
    for (int64_t c = 0; c < kSize; ++c)
      out[static_cast<size_t>(c)] += scores[static_cast<size_t>(j)] / sum * at(2, j, c);
  return out;
}

bool correct(const std::vector<Tensor>& in, const Tensor& y, bool causal) {
  const int64_t tokens = in[0].dims()[1];
  for (int64_t head = 0; head < kHeads; head += 5)
    for (int64_t row = 0; row < tokens; row += tokens / 13) {
      const std::vector<double> want = expected(in, head, row, causal);
      for (int64_t c = 0; c < kSize; ++c) {
        const double got = y.at((head * tokens + row) * kSize + c);
        if (!(std::abs(got - want[static_cast<size_t>(c)]) <= kTolerance)) return false;
      }
    }
  return true;
}

bool measure(int64_t tokens, bool causal, int threads, double seconds, bool profile, double roof) {
  using Clock = std::chrono::steady_clock;
  CompileOptions options = compile_options();
  options.threads = threads;
  options.wait_compile = true;
  const auto started = Clock::now();
  const Graph g = attention(tokens, causal);
  const Plan plan = compile_program(g, options).plan;
  const int64_t arena = plan.arena_bytes + threads * plan.local_bytes;
  const auto executable = compile(g, options);
  const double compile_seconds = std::chrono::duration<double>(Clock::now() - started).count();
  const std::vector<Tensor> in = {noise(tokens, 1), noise(tokens, 2), noise(tokens, 3)};
  const bool ok = correct(in, executable->run(in)[0], causal);
  double best = std::numeric_limits<double>::infinity();
  const auto begin = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    const auto t = Clock::now();
    executable->run(in);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - t).count());
  }
  const auto scores = static_cast<double>(kHeads * tokens * tokens);
  const double gflops = 1e-9 * 4 * static_cast<double>(kSize) * scores / best;
  fmt::print(
      "{:>5} tokens {} {} thread{} {:8.2f} ms {:6.1f} GFLOP/s {:5.1f} % of {:.0f}  arena {:.1f} MB"
      "  {:.0f} ms to compile  {}\n",
      tokens, causal ? "causal" : "      ", threads, threads == 1 ? " " : "s", 1e3 * best, gflops,
      100 * gflops / roof, roof, static_cast<double>(arena) / (1 << 20), 1e3 * compile_seconds,
      ok ? "correct" : "WRONG");
  if (profile) {
    executable->profile(true);
    executable->run(in);
    for (const auto& t : executable->times())
      fmt::print("    {:8.2f} ms {:6} calls  {}\n", 1e3 * t.seconds, t.calls, t.name);
    executable->profile(false);
  }
  std::fflush(stdout);
  return ok;
}

int run(double seconds, int64_t only, bool profile) {
  const Isa isa = detect_cpu().target.isa;
  bool ok = true;
  for (const int threads : {1, 2}) {
    if (threads > thread_count()) continue;
    ThreadPool pool(threads);
    const double roof = measure_roof(pool, threads, isa).gflops;
    for (const int64_t tokens : {1024, 4096})
      for (const bool causal : {false, true})
        if (only == 0 || only == tokens)
          ok &= measure(tokens, causal, threads, seconds, profile, roof);
  }
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  return lathe::run(argc > 1 ? std::atof(argv[1]) : 1, argc > 2 ? std::atoll(argv[2]) : 0,
                    argc > 3 && std::string_view(argv[3]) == "profile");
}
