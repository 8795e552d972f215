// Examples to batches, epoch by epoch.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "ir/base/tensor.h"
#include "runtime/data/dataset.h"
#include "runtime/data/prefetch.h"
#include "runtime/data/sequence.h"

namespace lathe::data {

struct Batch {
  Tensor inputs;  // first dim: examples
  Tensor labels;
  int64_t size() const { return inputs.dims().at(0); }
};

// Makes one batch of the examples with these indices. Called from the background thread.
using BatchMaker = std::function<Batch(std::span<const int64_t> examples)>;

enum class LabelForm {
  Binary,    // f32[batch, 1], 0 or 1, for a sigmoid output; a third class is an error
  ClassIds,  // i32[batch]
};

// inputs i32[batch, maxlen]. `dataset` must outlive the maker. maxlen >= 1.
BatchMaker text_batches(const Dataset& dataset, int64_t maxlen, LabelForm form,
                        const PadOptions& options = {});

// Rows of tensors that share their first dim, of any type: inputs [batch, ...], labels [batch,
// ...].
BatchMaker tensor_batches(Tensor inputs, Tensor labels);

struct BatchOptions {
  int64_t batch = 32;
  bool shuffle = true;  // else in the order of the data set
  uint64_t seed = 0;
  int prefetch = 2;  // batches made ahead by one background thread; 0: no thread
};

// One epoch of batches. The last one may be smaller; none is dropped.
class Batches {
 public:
  Batches(int64_t examples, BatchMaker maker, const BatchOptions& options, uint64_t epoch = 0);

  int64_t count() const;        // batches in the epoch
  std::optional<Batch> next();  // nothing at the end; rethrows what the maker threw

 private:
  std::optional<Batch> make();

  BatchMaker maker_;
  int64_t batch_;
  std::vector<int64_t> order_;
  size_t at_ = 0;  // used by the producer only
  Prefetcher<Batch> prefetcher_;
};

}  // namespace lathe::data
