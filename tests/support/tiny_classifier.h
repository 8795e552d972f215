// A classifier of token sequences that trains in milliseconds, and data for it.
#pragma once

#include "ir/expr.h"
#include "runtime/data/dataset.h"
#include "runtime/train/step.h"

namespace lathe::testing {

inline constexpr int64_t kTinyLength = 4;
inline constexpr int64_t kTinyWords = 12;

// Sum of embeddings, dense, sigmoid: tokens i32[batch, 4] to f32[batch, 1].
Graph tiny_classifier();
train::TensorStore tiny_weights();

// Sequences of tokens in [2, kTinyWords); those that hold token 7 are of class 1.
data::Dataset tiny_dataset(int64_t examples, uint64_t seed);

}  // namespace lathe::testing
