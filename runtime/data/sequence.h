// Sequences of differing length to one rectangle: Keras' pad_sequences.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/base/tensor.h"

namespace lathe::data {

enum class Side { Pre, Post };

// Keras' defaults: pad on the left, drop from the left.
struct PadOptions {
  Side padding = Side::Pre;     // where `value` fills a short sequence
  Side truncating = Side::Pre;  // where a long one is cut
  int32_t value = 0;
};

// Fills all of `out` with one sequence.
void pad_sequence(std::span<const int32_t> sequence, std::span<int32_t> out,
                  const PadOptions& options = {});

// i32[sequences, maxlen]; maxlen 0 takes the longest sequence's length.
Tensor pad_sequences(std::span<const std::vector<int32_t>> sequences, int64_t maxlen = 0,
                     const PadOptions& options = {});

}  // namespace lathe::data
