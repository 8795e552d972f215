// What a person sees of a training: one line an epoch, and a bar while it runs.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "runtime/train/fit.h"

namespace lathe::train {

// "1:05", "2:00:00"
std::string clock_text(double seconds);

// "epoch 2/8  [=====>    ] 320/640  loss 0.4312  accuracy 0.8012  0:12 left"
std::string bar_text(int64_t epoch, int64_t epochs, int64_t done, int64_t total,
                     const Metrics& mean, double seconds_left);
// "epoch 2/8  loss 0.4312  accuracy 0.8012  val_loss 0.4501  val_accuracy 0.7900  23.4 s  best"
std::string epoch_text(const EpochRecord& record, int64_t epochs, bool best);

class Progress {
 public:
  // With `moving` the bar is redrawn in place, at most ten times a second; else there is none.
  Progress(std::FILE* out, int64_t epochs, bool moving);

  FitObserver observer();

 private:
  using Clock = std::chrono::steady_clock;
  void on_batch(int64_t epoch, int64_t done, int64_t total, const Metrics& mean);
  void on_epoch(const EpochRecord& record, bool best);

  std::FILE* out_;
  int64_t epochs_;
  bool moving_;
  int64_t epoch_ = 0;
  int64_t first_done_ = 0;  // examples before the clock of this epoch started
  Clock::time_point start_, drawn_;
};

// Whether a moving bar may be drawn on `out`: a terminal, and NO_COLOR does not forbid it.
bool may_move(std::FILE* out);

}  // namespace lathe::train
