#include "runtime/tensor_bytes.h"

#include <algorithm>
#include <cstring>

namespace lathe {

int64_t checked_bytes(DType dtype, const Dims& dims, const std::string& place) {
  // Far beyond any model; keeps a hostile header from filling messages and loops.
  constexpr size_t highest_rank = 64;
  if (dims.size() > highest_rank)
    fail("{}: a tensor of rank {}, at most {} was expected", place, dims.size(), highest_rank);
  try {
    return element_count(dims) * byte_size(dtype);
  } catch (const Error& error) {
    fail("{}: {}", place, error.what());
  }
}

void check_bools(std::span<const std::byte> bytes, const std::string& place) {
  const auto bad = std::ranges::find_if(bytes, [](std::byte b) { return b > std::byte{1}; });
  if (bad != bytes.end())
    fail("{}: boolean element {} is stored as {}, 0 or 1 was expected", place, bad - bytes.begin(),
         static_cast<int>(*bad));
}

Tensor tensor_over(DType dtype, const Dims& dims, std::span<const std::byte> bytes,
                   std::shared_ptr<const void> owner, const std::string& place) {
  LATHE_ASSERT(static_cast<int64_t>(bytes.size()) == element_count(dims) * byte_size(dtype));
  if (dtype == DType::boolean) check_bools(bytes, place);
  // An empty range may have no address at all, and a defined tensor has one.
  if (bytes.empty()) return Tensor::empty(dtype, dims);
  return Tensor::view(dtype, dims, bytes.data(), std::move(owner));
}

}  // namespace lathe
