#include "tools/profile.h"

#include <fmt/ranges.h>

#include <chrono>

#include "tools/work.h"

namespace lathe::tools {
namespace {

std::string loops(const Kernel& k) {
  std::string out = fmt::format("{}", fmt::join(k.par, "x"));
  if (!k.red.empty()) out += fmt::format("{}red {}", out.empty() ? "" : " ", fmt::join(k.red, "x"));
  return out;
}

}  // namespace

Profile profile_runs(const Program& program, Executable& executable,
                     const std::vector<Tensor>& inputs, double min_seconds) {
  using Clock = std::chrono::steady_clock;
  executable.profile(true);
  const Clock::time_point start = Clock::now();
  double seconds = 0;
  int64_t runs = 0;
  while (runs < 3 || seconds < min_seconds) {
    executable.run(inputs);
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
    ++runs;
  }
  const std::vector<Executable::KernelTime> times = executable.times();
  executable.profile(false);

  const std::vector<double> flops = kernel_flops(program);
  const double each = 1e3 / static_cast<double>(runs);
  Profile p;
  p.run_ms = p.outside_ms = seconds * each;
  for (const Executable::KernelTime& t : times) {
    if (t.calls == 0) continue;
    const auto k = static_cast<size_t>(t.kernel);
    const auto calls = static_cast<double>(t.calls);
    p.outside_ms -= t.seconds * each;
    p.kernels.push_back({t.kernel, t.name, loops(program.kernels[k]),
                         calls / static_cast<double>(runs), t.seconds * each, t.seconds / seconds,
                         1e-9 * calls * flops[k] / t.seconds});
  }
  return p;
}

std::string profile_text(const Profile& p) {
  std::string out = fmt::format("{:>8} {:>7} {:>8} {:>8}  {:<6} {:<24} {}\n", "ms", "share",
                                "calls", "GFLOP/s", "kernel", "loops", "name");
  for (const KernelCost& k : p.kernels)
    out += fmt::format("{:8.3f} {:5.1f} % {:8g} {:8.2f}  k{:<5} {:<24} {}\n", k.ms, 100 * k.share,
                       k.calls, k.gflops, k.kernel, k.loops, k.name);
  out +=
      fmt::format("{:8.3f} {:5.1f} %  outside of kernels, of {:.3f} ms a run with the clock on\n",
                  p.outside_ms, 100 * p.outside_ms / p.run_ms, p.run_ms);
  return out;
}

nlohmann::ordered_json profile_json(const Profile& p) {
  auto kernels = nlohmann::ordered_json::array();
  for (const KernelCost& k : p.kernels)
    kernels.push_back({{"kernel", k.kernel},
                       {"name", k.name},
                       {"loops", k.loops},
                       {"calls", k.calls},
                       {"ms", k.ms},
                       {"share", k.share},
                       {"gflops", k.gflops}});
  return {{"run_ms", p.run_ms}, {"outside_ms", p.outside_ms}, {"kernels", std::move(kernels)}};
}

}  // namespace lathe::tools
