#include "tests/support/ladder.h"

#include <cmath>

#include "backends/compile.h"
#include "ir/eval.h"
#include "passes/autodiff.h"
#include "runtime/cpu.h"
#include "tests/support/kernel_run.h"

namespace lathe {
namespace {

struct Rung {
  Backend backend;
  Isa isa;
};

std::vector<Rung> rungs(bool every_isa) {
  std::vector<Rung> out = {{Backend::Interpreter, detect_cpu().native.isa}};
  for (Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512}) {
    if (isa > detect_cpu().native.isa) continue;
    out.push_back({Backend::Simd, isa});
#ifdef LATHE_WITH_LLVM
    if (every_isa || isa == detect_cpu().native.isa) out.push_back({Backend::Llvm, isa});
#endif
  }
  return out;
}

constexpr int kThreads[] = {1, 2};

// The results on each number of threads in kThreads, of kernels compiled once.
std::vector<std::vector<Tensor>> run_on(const Graph& g, const std::vector<Tensor>& inputs,
                                        const Rung& rung) {
  static const std::vector<std::shared_ptr<ThreadPool>> pools = [] {
    std::vector<std::shared_ptr<ThreadPool>> all;
    for (int threads : kThreads) all.push_back(std::make_shared<ThreadPool>(threads));
    return all;
  }();
  CompileOptions options;
  options.target = limit_isa(detect_cpu().native, name(rung.isa));
  const Program program = compile_program(g, options);
  const std::vector<CompiledKernel> kernels =
      select_kernels(program, options.target, rung.backend, 1);
  std::vector<std::vector<Tensor>> results;
  for (const auto& pool : pools) {
    std::vector<Tensor> own;
    for (const Tensor& t : inputs) own.push_back(t.clone());
    results.push_back(make_executable(program, kernels, pool)->run(own));
  }
  return results;
}

// The largest difference, relative to the output's scale; infinite where only one is finite.
double distance(const Tensor& a, const Tensor& b) {
  double scale = 1, worst = 0;
  for (int64_t i = 0; i < b.size(); ++i)
    if (std::isfinite(b.at(i))) scale = std::max(scale, std::abs(b.at(i)));
  for (int64_t i = 0; i < a.size(); ++i) {
    const double x = a.at(i), y = b.at(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double d = std::abs(x - y) / scale;
    worst = std::max(worst, std::isnan(d) ? INFINITY : d);
  }
  return worst;
}

double precision(DType t) { return t == DType::f16 ? 0x1p-10 : t == DType::bf16 ? 0x1p-7 : 0; }

// What differs between a rung's output and the interpreter's; empty if nothing does.
std::string compare(const Tensor& got, const Tensor& base, Isa isa, double tolerance) {
  if (isa == Isa::sse42) {
    const double d = distance(got, base);
    return d <= tolerance + precision(got.dtype()) ? "" : fmt::format("{} away", d);
  }
  const int64_t at = first_difference(got, base);
  if (at < 0) return "";
  return fmt::format("element {} is {}, the interpreter gives {}", at, got.at(at), base.at(at));
}

}  // namespace

std::string compare_with_reference(const std::vector<Tensor>& results,
                                   const std::vector<Tensor>& reference, double tolerance) {
  for (size_t k = 0; k < results.size(); ++k) {
    const double d = distance(results[k], reference[k]);
    if (!(d <= tolerance + precision(results[k].dtype())))
      return fmt::format("{} from the reference in output {}", d, k);
  }
  return {};
}

std::string climb_ladder(const Graph& g, const std::vector<Tensor>& inputs, double tolerance,
                         bool every_isa) {
  const std::vector<Tensor> base = run_on(g, inputs, rungs(every_isa)[0])[0];
  const std::string far = compare_with_reference(base, evaluate(g, inputs), tolerance);
  if (!far.empty()) return "interpreter is " + far;
  for (const Rung& rung : rungs(every_isa)) {
    const auto results = run_on(g, inputs, rung);
    for (size_t t = 0; t < results.size(); ++t)
      for (size_t k = 0; k < base.size(); ++k) {
        const std::string fault = compare(results[t][k], base[k], rung.isa, tolerance);
        if (!fault.empty())
          return fmt::format("{} {} with {} threads, output {}: {}", name(rung.backend),
                             name(rung.isa), kThreads[t], k, fault);
      }
  }
  return {};
}

Graph with_gradients(const Graph& g) {
  Graph work = g;
  std::vector<Expr> outputs, seeds, wrt;
  for (const GraphOutput& out : g.outputs())
    if (is_float(g.type(out.value).dtype)) {
      outputs.push_back({&work, out.value});
      seeds.push_back(full_like(outputs.back(), 1));
    }
  for (const GraphInput& in : g.inputs())
    if (is_float(in.type.dtype)) wrt.push_back({&work, in.value});
  const Gradients gradients = add_gradients(work, outputs, seeds, wrt);
  std::vector<GraphOutput> results = work.outputs();
  for (size_t i = 0; i < gradients.of.size(); ++i)
    results.push_back({fmt::format("d{}", i), gradients.of[i].value, -1});
  return apply_replacements(work, results, gradients.replacements);
}

}  // namespace lathe
