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
  int threads;
};

std::vector<Rung> rungs() {
  std::vector<Rung> out = {{Backend::Interpreter, detect_cpu().native.isa, 2}};
  for (Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512}) {
    if (isa > detect_cpu().native.isa) continue;
    for (int threads : {1, 2}) {
      out.push_back({Backend::Simd, isa, threads});
#ifdef LATHE_WITH_LLVM
      out.push_back({Backend::Llvm, isa, threads});
#endif
    }
  }
  return out;
}

std::vector<Tensor> run_on(const Graph& g, const std::vector<Tensor>& inputs, const Rung& rung) {
  CompileOptions options;
  options.target = limit_isa(detect_cpu().native, name(rung.isa));
  options.threads = rung.threads;
  options.backend = rung.backend;
  std::vector<Tensor> own;
  for (const Tensor& t : inputs) own.push_back(t.clone());
  return compile(g, options)->run(own);
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

}  // namespace

std::string climb_ladder(const Graph& g, const std::vector<Tensor>& inputs, double tolerance) {
  const std::vector<Tensor> reference = evaluate(g, inputs);
  const std::vector<Tensor> base =
      run_on(g, inputs, {Backend::Interpreter, detect_cpu().native.isa, 1});
  for (size_t k = 0; k < base.size(); ++k) {
    const double d = distance(base[k], reference[k]);
    if (!(d <= tolerance + precision(base[k].dtype())))
      return fmt::format("interpreter is {} from the reference in output {}", d, k);
  }
  for (const Rung& rung : rungs()) {
    const std::vector<Tensor> got = run_on(g, inputs, rung);
    for (size_t k = 0; k < got.size(); ++k) {
      const std::string where = fmt::format("{} {} with {} threads, output {}", name(rung.backend),
                                            name(rung.isa), rung.threads, k);
      if (rung.isa == Isa::sse42) {
        const double d = distance(got[k], base[k]);
        if (!(d <= tolerance + precision(got[k].dtype())))
          return fmt::format("{}: {} away", where, d);
      } else if (const int64_t at = first_difference(got[k], base[k]); at >= 0) {
        return fmt::format("{}: element {} is {}, the interpreter gives {}", where, at,
                           got[k].at(at), base[k].at(at));
      }
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
