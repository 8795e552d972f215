// Threads that share the chunks of one computation.
//
// A computation is split into chunks by its shape alone; which thread runs a chunk is left to
// timing, so results cannot depend on the number of threads. Chunks are claimed from one atomic
// word, from the first on by the caller, which works too, and from the last by the others; the
// caller returns when all chunks are done, not when all threads have noticed. Threads start at the
// first call that can use them; a pool of one never starts any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>

namespace lathe {

// One chunk of a computation, on `thread` in [0, threads()). No two chunks of one call that run at
// the same time have the same `thread`, so it may index scratch memory. Must not throw.
using ChunkFn = void (*)(void* ctx, int64_t chunk, int thread);

// One of `threads` threads that run at the same time and may meet at a SpinBarrier. Must not throw.
using RegionFn = void (*)(void* ctx, int thread, int threads);

// A host program's own threads. `parallel` calls fn(ctx, chunk, thread) once for every chunk in
// [0, chunks), with `thread` as ChunkFn says and below `count`, and returns when all are done.
struct HostThreads {
  int count = 1;
  void (*parallel)(void* host, int64_t chunks, ChunkFn fn, void* ctx) = nullptr;
  void* host = nullptr;
};

class ThreadPool {
 public:
  // `threads` >= 1, the caller included; see thread_count() in runtime/cpu.h.
  explicit ThreadPool(int threads);
  explicit ThreadPool(HostThreads host);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls fn(ctx, chunk, thread) for every chunk in [0, chunks). All chunks run on the caller where
  // nothing is to be gained from others: for one chunk, within a chunk of any pool, while another
  // caller has the pool, and in a forked child, which has no threads but its own.
  void parallel_for(int64_t chunks, ChunkFn fn, void* ctx);

  // The same for a callable f(int64_t chunk, int thread).
  template <class F>
  void parallel_for(int64_t chunks, F&& f) {
    using Callable = std::remove_reference_t<F>;
    parallel_for(
        chunks,
        [](void* ctx, int64_t chunk, int thread) { (*static_cast<Callable*>(ctx))(chunk, thread); },
        address(f));
  }

  // Calls fn(ctx, thread, n) for every thread in [0, n), all at the same time. n is at most
  // `threads` and threads(); it is 1 where parallel_for would stay on the caller, and with a host's
  // threads, which promise no concurrency.
  void parallel_region(int threads, RegionFn fn, void* ctx);

  // The same for a callable f(int thread, int threads).
  template <class F>
  void parallel_region(int threads, F&& f) {
    using Callable = std::remove_reference_t<F>;
    parallel_region(
        threads, [](void* ctx, int thread, int n) { (*static_cast<Callable*>(ctx))(thread, n); },
        address(f));
  }

 private:
  class Team;  // the threads and the job they share

  template <class F>
  static void* address(F& f) {
    return const_cast<void*>(static_cast<const void*>(std::addressof(f)));
  }

  bool must_stay_on_caller() const;
  Team& team();

  int threads_;
  HostThreads host_;
  int fork_generation_;  // of the process that made the pool
  std::mutex dispatch_;  // held by the caller whose job is running; guards team_
  std::unique_ptr<Team> team_;
};

// Where the threads of a region meet between phases. What a thread wrote before is visible to all
// after.
class SpinBarrier {
 public:
  explicit SpinBarrier(int threads) : threads_(threads) {}
  void arrive_and_wait();

 private:
  const int threads_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
};

}  // namespace lathe
