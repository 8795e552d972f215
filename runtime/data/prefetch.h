// One background thread that works ahead of its consumer.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace lathe::data {

// Hands out what `produce` returns, in order, until it returns nothing. At most `depth` items wait.
// With depth 0 there is no thread and next() produces. An exception from `produce` reaches the
// consumer in the place of the item; after it, and after the end, `produce` is not called again.
// Destruction at any time waits for the item that is being made, not for the rest.
template <class T>
class Prefetcher {
 public:
  using Producer = std::function<std::optional<T>()>;

  Prefetcher(Producer produce, size_t depth) : produce_(std::move(produce)), depth_(depth) {
    if (depth_ > 0) thread_ = std::thread([this] { work(); });
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  ~Prefetcher() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // The next item; nothing at the end, then and ever after. For one consumer.
  std::optional<T> next() {
    if (depth_ == 0) return produce_here();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty() || ended_; });
    if (ready_.empty()) {
      if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      return std::nullopt;
    }
    std::optional<T> item(std::move(ready_.front()));
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return item;
  }

 private:
  std::optional<T> produce_here() {
    if (ended_) return std::nullopt;
    ended_ = true;  // stands if produce_ throws
    std::optional<T> item = produce_();
    ended_ = !item.has_value();
    return item;
  }

  void work() {
    std::exception_ptr error;
    try {
      while (wait_for_room()) {
        std::optional<T> item = produce_();
        if (!item) break;
        const std::lock_guard lock(mutex_);
        ready_.push_back(std::move(*item));
        changed_.notify_all();
      }
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    ended_ = true;
    changed_.notify_all();
  }

  // False if the consumer has gone.
  bool wait_for_room() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_ || ready_.size() < depth_; });
    return !stopped_;
  }

  Producer produce_;
  size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> ready_;
  std::exception_ptr error_;
  bool ended_ = false;
  bool stopped_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace lathe::data
