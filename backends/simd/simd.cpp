#include "backends/simd/simd.h"

#include "backends/simd/contraction.h"
#include "backends/simd/moves.h"
#include "backends/simd/taps.h"
#include "backends/simd/vm.h"

namespace lathe {
namespace {

using namespace simd;

void run_plan(void* const* args, int64_t begin, int64_t end, const void* context) {
  Run(*static_cast<const Plan*>(context), args).range(begin, end);
}

}  // namespace

Result<CompiledKernel> simd_kernel(const Kernel& k, const KernelSchedule& s, const Target& target) {
  const Table* table = find_table(target.isa);
  if (table == nullptr) return failure("the xsimd backend needs SSE4.2 or newer");
  LATHE_ASSERT(k.par.size() <= kMaxIvs, "{} parallel ivs", k.par.size());
  Canonical c = canonicalize(k, s);
  const auto contract = [&](const auto& contraction, KernelFn run, const char* of) {
    return CompiledKernel{run, contraction->get(), *contraction,
                          fmt::format("simd/{} contract {}x{}{}", name(target.isa),
                                      table->gemm_rows, table->gemm_width, of)};
  };
  if (const auto floats = plan_contraction(c, *table, DType::f32))
    return contract(floats, run_contraction, "");
  if (const auto bf16 = plan_contraction(c, *table, DType::bf16))
    return contract(bf16, run_bf16_contraction, " bf16");
  if (const auto bytes = plan_byte_contraction(c, *table))
    return contract(bytes, run_byte_contraction, " bytes");
  if (auto taps = plan_taps(c, *table))
    return CompiledKernel{run_taps, taps->get(), *taps,
                          fmt::format("simd/{} taps", name(target.isa))};
  if (auto moves = plan_moves(c))
    return CompiledKernel{run_moves, moves->get(), *moves,
                          fmt::format("simd/{} moves", name(target.isa))};
  auto plan = std::make_shared<const Plan>(make_plan(std::move(c), *table, -1, false));
  return CompiledKernel{run_plan, plan.get(), plan, fmt::format("simd/{} tiles", name(target.isa))};
}

}  // namespace lathe
