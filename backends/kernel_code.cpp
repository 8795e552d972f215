#include "backends/kernel_code.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace lathe {
namespace {

uint64_t round_up(uint64_t n) { return (n + kCodePage - 1) / kCodePage * kCodePage; }

}  // namespace

Result<std::vector<CompiledKernel>> map_code(std::span<const KernelCode* const> kernels) {
  if (kernels.empty()) return std::vector<CompiledKernel>{};
  uint64_t size = 0;
  for (const KernelCode* k : kernels) size += round_up(k->bytes.size());
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return failure("no memory for {} bytes of compiled kernels: {}", size, std::strerror(errno));
  const std::shared_ptr<std::byte> block(static_cast<std::byte*>(mapped),
                                         [size](std::byte* p) { munmap(p, size); });
  std::vector<CompiledKernel> out;
  std::byte* at = block.get();
  for (const KernelCode* k : kernels) {
    std::memcpy(at, k->bytes.data(), k->bytes.size());
    out.push_back({reinterpret_cast<KernelFn>(at + k->entry), nullptr, block, k->method});
    at += round_up(k->bytes.size());
  }
  // The constants between the code of two kernels become executable with it: they are ours as much.
  if (mprotect(mapped, size, PROT_READ | PROT_EXEC) != 0)
    return failure("cannot make compiled kernels executable: {}", std::strerror(errno));
  return out;
}

}  // namespace lathe
