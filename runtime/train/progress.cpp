#include "runtime/train/progress.h"

#include <unistd.h>

#include <algorithm>

#include "runtime/options.h"

namespace lathe::train {
namespace {

constexpr int64_t kBarWidth = 24;
constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::string_view kEraseLine = "\r\033[K";

}  // namespace

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(std::clamp(seconds, 0.0, 359999.0) + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string bar_text(int64_t epoch, int64_t epochs, int64_t done, int64_t total,
                     const Metrics& mean, double seconds_left) {
  const int64_t filled = total == 0 ? kBarWidth : kBarWidth * done / total;
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < kBarWidth) bar += '>';
  bar.resize(static_cast<size_t>(kBarWidth), ' ');
  return fmt::format("epoch {}/{}  [{}] {}/{}  loss {:.4f}  accuracy {:.4f}  {} left", epoch,
                     epochs, bar, done, total, mean.loss, mean.accuracy, clock_text(seconds_left));
}

std::string epoch_text(const EpochRecord& record, int64_t epochs, bool best) {
  std::string out = fmt::format("epoch {}/{}  loss {:.4f}  accuracy {:.4f}", record.epoch, epochs,
                                record.training.loss, record.training.accuracy);
  if (record.validation)
    out += fmt::format("  val_loss {:.4f}  val_accuracy {:.4f}", record.validation->loss,
                       record.validation->accuracy);
  out += fmt::format("  {:.1f} s", record.seconds);
  return best && record.validation ? out + "  best" : out;
}

Progress::Progress(std::FILE* out, int64_t epochs, bool moving)
    : out_(out), epochs_(epochs), moving_(moving) {}

FitObserver Progress::observer() {
  FitObserver o;
  if (moving_)
    o.on_batch = [this](int64_t epoch, int64_t done, int64_t total, const Metrics& mean) {
      on_batch(epoch, done, total, mean);
    };
  o.on_epoch = [this](const EpochRecord& record, bool best) { on_epoch(record, best); };
  return o;
}

// The first batch of an epoch may include a compilation, so the clock starts after it.
void Progress::on_batch(int64_t epoch, int64_t done, int64_t total, const Metrics& mean) {
  const Clock::time_point now = Clock::now();
  if (epoch != epoch_) {
    epoch_ = epoch;
    first_done_ = done;
    start_ = now;
  } else if (now - drawn_ < kRedraw) {
    return;
  }
  drawn_ = now;
  const std::chrono::duration<double> spent = now - start_;
  const int64_t counted = done - first_done_;
  const double left = counted == 0 ? 0
                                   : spent.count() / static_cast<double>(counted) *
                                         static_cast<double>(total - done);
  fmt::print(out_, "{}{}", kEraseLine, bar_text(epoch, epochs_, done, total, mean, left));
  std::fflush(out_);
}

void Progress::on_epoch(const EpochRecord& record, bool best) {
  fmt::print(out_, "{}{}\n", moving_ ? kEraseLine : "", epoch_text(record, epochs_, best));
  std::fflush(out_);
}

bool may_move(std::FILE* out) { return ::isatty(::fileno(out)) == 1 && !options().no_color; }

}  // namespace lathe::train
