#include "tests/support/kernel_run.h"

#include <cmath>
#include <thread>

#include "runtime/cpu.h"

namespace lathe {

void run_kernel(const CompiledKernel& compiled, const Kernel& k, const KernelSchedule& s,
                std::vector<Tensor>& tensors, int threads) {
  std::vector<void*> args;
  for (size_t i = 0; i < tensors.size(); ++i) {
    LATHE_ASSERT(
        tensors[i].size() >= k.operands[i].size && tensors[i].dtype() == k.operands[i].dtype,
        "operand {}", i);
    args.push_back(tensors[i].mutable_raw());
  }
  const int64_t chunks = chunk_count(k, s);
  const int64_t extent = s.parallel < 0 ? 1 : k.par[static_cast<size_t>(s.parallel)];
  const auto work = [&](int64_t first) {
    for (int64_t c = first; c < chunks; c += threads)
      compiled.fn(args.data(), c * s.grain, std::min(extent, (c + 1) * s.grain), compiled.context);
  };
  std::vector<std::thread> helpers;
  for (int t = 1; t < threads; ++t) helpers.emplace_back(work, t);
  work(0);
  for (std::thread& t : helpers) t.join();
}

std::vector<Target> targets() {
  std::vector<Target> all;
  for (Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512}) {
    Target t;
    t.isa = isa;
    if (isa <= detect_cpu().native.isa) all.push_back(t);
  }
  return all;
}

int64_t first_difference(const Tensor& a, const Tensor& b) {
  LATHE_ASSERT(a.dtype() == b.dtype() && a.dims() == b.dims());
  const auto bytes = static_cast<size_t>(byte_size(a.dtype()));
  const auto* x = static_cast<const char*>(a.raw());
  const auto* y = static_cast<const char*>(b.raw());
  for (int64_t i = 0; i < a.size(); ++i, x += bytes, y += bytes) {
    if (std::equal(x, x + bytes, y)) continue;
    if (is_float(a.dtype()) && std::isnan(a.at(i)) && std::isnan(b.at(i))) continue;
    return i;
  }
  return -1;
}

}  // namespace lathe
