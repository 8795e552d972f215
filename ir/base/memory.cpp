#include "ir/base/memory.h"

#include <sys/mman.h>

#include <cstdlib>

namespace lathe {
namespace {

constexpr size_t kLine = 64, kHugePage = 2 << 20;

}  // namespace

std::shared_ptr<void> allocate_memory(int64_t bytes) {
  const auto asked = static_cast<size_t>(bytes);
  const size_t alignment = asked >= kHugePage ? kHugePage : kLine;
  const size_t rounded = asked == 0 ? kLine : (asked + kLine - 1) / kLine * kLine;
  void* p = nullptr;
  if (posix_memalign(&p, alignment, rounded) != 0) return nullptr;
  // Only whole pages, so that no memory is used beyond what was asked for. A system may refuse.
  if (alignment == kHugePage) madvise(p, rounded / kHugePage * kHugePage, MADV_HUGEPAGE);
  return {p, [](void* q) { std::free(q); }};
}

}  // namespace lathe
