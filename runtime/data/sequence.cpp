#include "runtime/data/sequence.h"

#include <algorithm>

namespace lathe::data {

void pad_sequence(std::span<const int32_t> sequence, std::span<int32_t> out,
                  const PadOptions& options) {
  const size_t kept = std::min(sequence.size(), out.size());
  const auto part = options.truncating == Side::Pre ? sequence.last(kept) : sequence.first(kept);
  const size_t fill = out.size() - kept;
  const size_t begin = options.padding == Side::Pre ? fill : 0;
  std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(options.padding == Side::Pre ? 0 : kept),
              fill, options.value);
  std::copy(part.begin(), part.end(), out.begin() + static_cast<std::ptrdiff_t>(begin));
}

Tensor pad_sequences(std::span<const std::vector<int32_t>> sequences, int64_t maxlen,
                     const PadOptions& options) {
  LATHE_ASSERT(maxlen >= 0, "maxlen {}", maxlen);
  if (maxlen == 0)
    for (const auto& s : sequences) maxlen = std::max(maxlen, static_cast<int64_t>(s.size()));
  Tensor out = Tensor::empty(DType::i32, {static_cast<int64_t>(sequences.size()), maxlen});
  int32_t* row = out.mutable_data<int32_t>();
  for (const auto& s : sequences) {
    pad_sequence(s, {row, static_cast<size_t>(maxlen)}, options);
    row += maxlen;
  }
  return out;
}

}  // namespace lathe::data
