// The loop over epochs and batches.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "runtime/train/step.h"

namespace lathe::train {

struct Examples {
  int64_t count = 0;
  data::BatchMaker batches;
};

// One line of history.csv, metrics rounded to its six decimals. Without evaluation data the val_
// columns are empty.
struct EpochRecord {
  int64_t epoch = 0;  // from 1
  Metrics training;   // mean over the epoch's steps, each measured before its update
  std::optional<Metrics> validation;
  double seconds = 0;  // of training and evaluation
};

struct FitOptions {
  int64_t epochs = 1;
  int64_t batch = 32;
  uint64_t seed = 0;
  double learning_rate = 1e-3;
};

// What the loop reports as it goes; unset ones are skipped.
struct FitObserver {
  // After each batch: examples of this epoch so far, and the mean of their metrics.
  std::function<void(int64_t epoch, int64_t done, int64_t total, const Metrics& mean)> on_batch;
  // After each epoch, before the next begins: the place to save. `best`: better than all before.
  std::function<void(const EpochRecord& record, bool best)> on_epoch;
};

// Whether `a` is kept rather than the earlier `b`: by validation accuracy, then by validation loss;
// without validation the later one.
bool better(const EpochRecord& a, const EpochRecord& b);
// The one to keep; null if there is none.
const EpochRecord* best_epoch(const std::vector<EpochRecord>& history);

// Mean over the examples in their order, nothing updated. Precondition: examples.count > 0.
Metrics evaluate(const Examples& examples, int64_t batch, const StepOfSize& step,
                 TensorStore& store);

// Trains from the epoch after those in `history` up to options.epochs, and appends to it. An epoch
// depends on the store, the data, options.seed and its number only, so that a run may stop after
// any epoch and go on later with the same result. A loss that is not finite is a user error naming
// epoch and batch.
void fit(const Examples& training, const std::optional<Examples>& validation,
         const StepOfSize& train_step, const StepOfSize& evaluation_step, TensorStore& store,
         std::vector<EpochRecord>& history, const FitOptions& options, const FitObserver& observer);

}  // namespace lathe::train
