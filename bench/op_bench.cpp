// Every row of the case table as a benchmark, at sizes worth timing, on one thread:
//
//   op_bench --benchmark_filter=tanh/f32        tanh/f32/8K/llvm, tanh/f32/8M/simd, ..
//
// 8K and 8M: so many elements, about, has the largest input or output (in a core's caches; in
// memory). Before a row is timed its answer is compared with reference evaluation within the row's
// tolerance; the program fails if one was wrong. Counters, from the CPU time of all iterations:
//   ns/el          per element of the largest input or output
//   GB/s           inputs, constants and outputs, each once
//   GFLOP/s        floating-point arithmetic of the kernels, a multiply-add being two
//   %fma           GFLOP/s as a share of this core's multiply-adds in registers
//   %copy          GB/s as a share of copying memory; from caches it may be above 100
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <memory>

#include "backends/compile.h"
#include "ir/eval.h"
#include "ir/op.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"
#include "tests/support/ladder.h"
#include "tests/support/op_cases.h"
#include "tools/work.h"

namespace lathe {
namespace {

struct Subject {
  const OpCase* row;
  int64_t n;         // of the row
  int64_t elements;  // of its largest input or output
  Backend backend;
  std::string name;
};

bool wrong_answers = false;

int64_t largest(const Graph& g, int64_t n) {
  int64_t most = 0;
  const auto see = [&](const TensorType& t) {
    most = std::max(most, t.shape.bind({{"n", n}}).element_count());
  };
  for (const GraphInput& in : g.inputs()) see(in.type);
  for (const GraphOutput& out : g.outputs()) see(g.type(out.value));
  return most;
}

// The largest n that keeps every input and output to `elements`; 3, as in the tests, at least.
int64_t size_for(const Graph& g, int64_t elements) {
  int64_t low = 3, high = 6;
  while (high <= elements && largest(g, high) <= elements) low = high, high *= 2;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (largest(g, middle) <= elements ? low : high) = middle;
  }
  return low;
}

// Sums of millions of terms round a thousand times as often as those of the tests, and the errors
// of a random walk grow with the root of that; measured are 5e-5 where a row allows 1e-5.
double tolerance(const Subject& s) {
  const OpClass cls = op_def(s.row->op).cls;
  const bool sums = cls == OpClass::Reduce || cls == OpClass::Contract ||
                    cls == OpClass::Cumulative || cls == OpClass::Scatter;
  return s.row->tolerance * (sums && s.elements > 1 << 20 ? 30 : 1);
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Compiled, and right.
class Prepared {
 public:
  // Empty with an `error` where the answer is wrong.
  explicit Prepared(const Subject& s) : name(s.name) {
    const Graph g = build_case(*s.row, s.n);
    CompileOptions options;
    options.target = detect_cpu().native;
    options.threads = 1;
    options.backend = s.backend;
    const Program program = compile_program(g, options);
    work = tools::count_work(program);
    executable_ = make_executable(program, options);
    inputs_ = sample_inputs(g, *s.row);
    outputs_ = executable_->run(inputs_);
    error = compare_with_reference(outputs_, evaluate(g, inputs_), tolerance(s));
    for (Tensor& t : inputs_) arguments_.push_back(t.mutable_raw());
    for (Tensor& t : outputs_) results_.push_back(t.mutable_raw());
  }
  void run() { executable_->run(arguments_, results_); }

  std::string name, error;
  tools::Work work;

 private:
  std::unique_ptr<Executable> executable_;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<void*> arguments_, results_;
};

const Roof& roof() {
  static const Roof r = [] {
    ThreadPool pool(1);
    return measure_roof(pool, 1, detect_cpu().native.isa);
  }();
  return r;
}

void time_row(benchmark::State& state, const Subject& s) {
  // Called several times for one row, with more and more iterations.
  static std::unique_ptr<Prepared> last;
  if (!last || last->name != s.name) {
    last.reset();
    last = std::make_unique<Prepared>(s);
  }
  if (!last->error.empty()) {
    wrong_answers = true;
    return state.SkipWithError(last->error.c_str());
  }
  const double start = cpu_seconds();
  for (auto _ : state) last->run();
  const double seconds = (cpu_seconds() - start) / static_cast<double>(state.iterations());
  const double gbs = 1e-9 * last->work.bytes / seconds;
  const double gflops = 1e-9 * last->work.flops / seconds;
  state.counters["ns/el"] = 1e9 * seconds / static_cast<double>(s.elements);
  state.counters["GB/s"] = gbs;
  state.counters["GFLOP/s"] = gflops;
  state.counters["%fma"] = 100 * gflops / roof().gflops;
  state.counters["%copy"] = 100 * gbs / roof().copy_gbs;
}

void add(const OpCase& row, int64_t n, int64_t elements, const char* size) {
  for (const Backend backend : {Backend::Llvm, Backend::Simd}) {
#ifndef LATHE_WITH_LLVM
    if (backend == Backend::Llvm) continue;
#endif
    const std::string full = fmt::format("{}/{}/{}", row.name, size, name(backend));
    const Subject s{&row, n, elements, backend, full};
    benchmark::RegisterBenchmark(full.c_str(), time_row, s);
  }
}

void add_rows() {
  for (const OpCase& row : op_cases()) {
    const Graph g = build_case(row, Dim::symbol("n"));
    const int64_t n = size_for(g, 8192);
    add(row, n, largest(g, n), "8K");
    if (largest(g, n) == largest(g, n + 1)) continue;
    // A reference of millions of steps takes minutes.
    if (op_def(row.op).cls == OpClass::Control && row.op != OpId::composite) continue;
    const int64_t many = size_for(g, 8 << 20);
    add(row, many, largest(g, many), "8M");
  }
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  lathe::add_rows();
  benchmark::RunSpecifiedBenchmarks();
  return lathe::wrong_answers ? 1 : 0;
}
