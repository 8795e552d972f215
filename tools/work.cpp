#include "tools/work.h"

namespace lathe::tools {
namespace {

double flops_of(const Instr& i) {
  if (!is_float(i.type)) return 0;
  switch (i.op) {
    case Scalar::Fma: return 2;
    case Scalar::Add:
    case Scalar::Sub:
    case Scalar::Mul:
    case Scalar::Div:
    case Scalar::Sqrt:
    case Scalar::Min:
    case Scalar::Max: return 1;
    default: return 0;
  }
}

double flops_of(const Kernel& k) {
  const bool cumulative = k.core == Core::Cumulative;
  double each_step = 0, each_point = 0;
  for (size_t i = 0; i < k.body.size(); ++i)
    (static_cast<int32_t>(i) < k.pre || cumulative ? each_step : each_point) += flops_of(k.body[i]);
  for (const Reduction& r : k.reductions)
    if (is_float(r.type)) each_step += is_fma(r.combine) ? 2 : 1;
  for (const Store& s : k.stores)
    if (s.combine != Combine::Assign) each_step += 1;
  const auto points = static_cast<double>(k.points());
  return points * (each_point + static_cast<double>(k.steps()) * each_step);
}

double flops_of(const Program& p, const std::vector<double>& kernels,
                const std::vector<Step>& steps) {
  double total = 0;
  for (const Step& s : steps) {
    if (s.kind == StepKind::Call) total += kernels[static_cast<size_t>(s.kernel)];
    if (s.kind == StepKind::Copy) continue;
    const double times = s.kind == StepKind::Loop ? static_cast<double>(s.count) : 1;
    total += times * flops_of(p, kernels, s.body);
    if (s.kind == StepKind::While) total += flops_of(p, kernels, s.other);
  }
  return total;
}

}  // namespace

std::vector<double> kernel_flops(const Program& p) {
  std::vector<double> flops;
  for (const Kernel& k : p.kernels) flops.push_back(flops_of(k));
  return flops;
}

Work count_work(const Program& p) {
  Work w;
  w.flops = flops_of(p, kernel_flops(p), p.plan.steps);
  for (const Buffer& b : p.plan.buffers)
    if (b.kind != BufferKind::Arena && b.kind != BufferKind::Local)
      w.bytes += static_cast<double>(b.bytes);
  return w;
}

}  // namespace lathe::tools
