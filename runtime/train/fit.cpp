#include "runtime/train/fit.h"

#include <chrono>
#include <cmath>

namespace lathe::train {
namespace {

Metrics train_epoch(const Examples& examples, const StepOfSize& step, TensorStore& store,
                    int64_t epoch, const FitOptions& options, const FitObserver& observer) {
  data::Batches batches(examples.count, examples.batches,
                        {.batch = options.batch, .shuffle = true, .seed = options.seed},
                        static_cast<uint64_t>(epoch));
  Average mean;
  int64_t number = 0;
  while (const std::optional<data::Batch> batch = batches.next()) {
    ++number;
    const Metrics m = run_step(step(batch->size()), store, *batch, options.learning_rate);
    if (!std::isfinite(m.loss))
      fail(
          "the loss is {} in batch {} of epoch {}: the training diverged; try a smaller learning "
          "rate than {}",
          std::isnan(m.loss) ? "nan" : fmt::format("{}", m.loss), number, epoch,
          options.learning_rate);
    mean.add(m, batch->size());
    if (observer.on_batch) observer.on_batch(epoch, mean.examples(), examples.count, mean.value());
  }
  return mean.value();
}

// As history.csv shows them, so that a resumed run compares the same numbers.
Metrics rounded(const Metrics& m) {
  return {std::round(m.loss * 1e6) / 1e6, std::round(m.accuracy * 1e6) / 1e6};
}

}  // namespace

bool better(const EpochRecord& a, const EpochRecord& b) {
  if (!a.validation || !b.validation) return true;
  if (a.validation->accuracy != b.validation->accuracy)
    return a.validation->accuracy > b.validation->accuracy;
  return a.validation->loss < b.validation->loss;
}

const EpochRecord* best_epoch(const std::vector<EpochRecord>& history) {
  const EpochRecord* best = nullptr;
  for (const EpochRecord& r : history)
    if (best == nullptr || better(r, *best)) best = &r;
  return best;
}

Metrics evaluate(const Examples& examples, int64_t batch, const StepOfSize& step,
                 TensorStore& store) {
  data::Batches batches(examples.count, examples.batches, {.batch = batch, .shuffle = false});
  Average mean;
  while (const std::optional<data::Batch> next = batches.next())
    mean.add(run_step(step(next->size()), store, *next), next->size());
  return mean.value();
}

void fit(const Examples& training, const std::optional<Examples>& validation,
         const StepOfSize& train_step, const StepOfSize& evaluation_step, TensorStore& store,
         std::vector<EpochRecord>& history, const FitOptions& options,
         const FitObserver& observer) {
  const int64_t first = history.empty() ? 1 : history.back().epoch + 1;
  for (int64_t epoch = first; epoch <= options.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    EpochRecord record;
    record.epoch = epoch;
    record.training = rounded(train_epoch(training, train_step, store, epoch, options, observer));
    if (validation)
      record.validation = rounded(evaluate(*validation, options.batch, evaluation_step, store));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    record.seconds = took.count();
    history.push_back(record);
    const bool best = best_epoch(history) == &history.back();
    if (observer.on_epoch) observer.on_epoch(record, best);
  }
}

}  // namespace lathe::train
