#include "runtime/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <system_error>
#include <thread>
#include <vector>

#include "ir/base/error.h"
#include "runtime/cpu.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

// The kernels of a network follow each other within this time; waking a sleeper costs 10 to 500 us.
constexpr auto kSpinTime = std::chrono::microseconds(300);
// A claim word holds the job's number, how many chunks workers have claimed and, lowest, how many
// the caller has. The caller takes chunks from the first on, workers from the last: from one call
// to the next a thread finds in its caches what it had in hand.
constexpr int kChunkBits = 16, kJobShift = 2 * kChunkBits;
constexpr uint64_t kChunkMask = (uint64_t{1} << kChunkBits) - 1, kClosed = kChunkMask;
constexpr int64_t kMostChunks = int64_t{kChunkMask >> 1};  // of a job

struct Claim {
  int64_t by_caller, by_workers;
  explicit Claim(uint64_t word)
      : by_caller(static_cast<int64_t>(word & kChunkMask)),
        by_workers(static_cast<int64_t>(word >> kChunkBits & kChunkMask)) {}
};

thread_local bool inside_chunk = false;

std::atomic<int> fork_count{0};

// A forked child inherits the pools but none of their threads.
int fork_generation() {
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { fork_count.fetch_add(1); });
  return fork_count.load(std::memory_order_relaxed);
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins until ready() or the time is over; returns ready().
template <class Ready>
bool spin_until(Ready ready) {
  Clock::time_point end = Clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (Clock::now() < end);
  return ready();
}

void run_on_caller(int64_t chunks, ChunkFn fn, void* ctx) {
  for (int64_t chunk = 0; chunk < chunks; ++chunk) fn(ctx, chunk, 0);
}

struct HostJob {
  ChunkFn fn;
  void* ctx;
};

void run_host_chunk(void* ctx, int64_t chunk, int thread) {
  const HostJob& job = *static_cast<const HostJob*>(ctx);
  inside_chunk = true;
  job.fn(job.ctx, chunk, thread);
  inside_chunk = false;
}

// Chunks from `first` on, where there are more than a job has.
struct Part {
  ChunkFn fn;
  void* ctx;
  int64_t first;
};

void run_part_chunk(void* ctx, int64_t chunk, int thread) {
  const Part& part = *static_cast<const Part*>(ctx);
  part.fn(part.ctx, part.first + chunk, thread);
}

struct Region {
  RegionFn fn;
  void* ctx;
  int threads;
};

void run_region_thread(void* ctx, int64_t chunk, int) {
  const Region& region = *static_cast<const Region*>(ctx);
  region.fn(region.ctx, static_cast<int>(chunk), region.threads);
}

}  // namespace

class ThreadPool::Team {
 public:
  // Starts threads - 1 workers, or as many of them as the system gives.
  explicit Team(int threads);
  ~Team();

  // The workers that started, and the caller.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs all chunks; returns when they are done. One caller at a time.
  void run(int64_t chunks, ChunkFn fn, void* ctx);

 private:
  void keep_workers_off(int cpu);
  void wake_workers(int64_t most);
  void work(int thread);
  void wait_for_chunks(int64_t chunks);
  void worker_loop(int thread);
  bool wait_for_job(uint64_t last_job);
  uint64_t current_job() const { return claim_.load(std::memory_order_seq_cst) >> kJobShift; }

  const bool spin_;  // whether the threads have CPUs of their own to spin on

  cpu_set_t allowed_;     // to the thread that made the team; empty: unknown
  int avoided_cpu_ = -1;  // the caller's, when it last woke workers

  // The job. Number and claimed chunks are one word, so that a claim succeeds only in the job whose
  // fields were read. While the fields change the word is closed: it holds the old number and a
  // chunk that no job has, and claims of the old job fail.
  std::atomic<ChunkFn> fn_{nullptr};
  std::atomic<void*> ctx_{nullptr};
  std::atomic<int64_t> chunks_{0};
  alignas(64) std::atomic<uint64_t> claim_{0};
  alignas(64) std::atomic<int64_t> done_{0};

  alignas(64) std::atomic<int> sleeping_workers_{0};
  std::atomic<bool> sleeping_caller_{false};
  std::atomic<bool> stop_{false};
  std::mutex sleep_;  // guards both conditions
  std::condition_variable job_arrived_, chunks_done_;
  std::vector<std::thread> workers_;
};

ThreadPool::Team::Team(int threads) : spin_(threads <= thread_count(0, Options{}, detect_cpu())) {
  if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) CPU_ZERO(&allowed_);
  workers_.reserve(threads - 1);
  try {
    for (int thread = 1; thread < threads; ++thread)
      workers_.emplace_back([this, thread] { worker_loop(thread); });
  } catch (const std::system_error& error) {
    // The system gives no more threads; those that are there do the work.
    if (options().explains("threads"))
      fmt::print(stderr, "lathe: {} of {} threads started: {}\n", this->threads(), threads,
                 error.what());
  }
}

ThreadPool::Team::~Team() {
  {
    std::lock_guard lock(sleep_);
    stop_.store(true, std::memory_order_relaxed);
  }
  job_arrived_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Team::run(int64_t chunks, ChunkFn fn, void* ctx) {
  LATHE_ASSERT(chunks <= kMostChunks, "{} chunks", chunks);
  const uint64_t last_job = current_job();
  claim_.store(last_job << kJobShift | kClosed, std::memory_order_seq_cst);
  // Released, so that who reads one of these finds the word closed, or opened again.
  fn_.store(fn, std::memory_order_release);
  ctx_.store(ctx, std::memory_order_release);
  chunks_.store(chunks, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  claim_.store((last_job + 1) << kJobShift, std::memory_order_seq_cst);
  keep_workers_off(sched_getcpu());
  wake_workers(chunks - 1);
  work(0);
  wait_for_chunks(chunks);
}

// Linux likes to wake a worker on the waker's CPU, where it waits until the caller stops spinning.
// So the workers may use all CPUs but the caller's (measured: a 145 us job after 5 ms of idleness
// took 151 us, p90 440, before and 107 us, p90 130, with this). A caller that has moved may share
// its CPU with a worker that has no other, so this is looked at with every job.
void ThreadPool::Team::keep_workers_off(int cpu) {
  if (cpu == avoided_cpu_ || !spin_) return;
  avoided_cpu_ = cpu;
  cpu_set_t others = allowed_;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) == 0) return;
  for (std::thread& worker : workers_)
    pthread_setaffinity_np(worker.native_handle(), sizeof others, &others);
}

void ThreadPool::Team::wake_workers(int64_t most) {
  int64_t sleeping = sleeping_workers_.load(std::memory_order_seq_cst);
  if (sleeping == 0) return;
  // A worker that has counted itself but does not sleep yet holds the lock until it does.
  {
    std::lock_guard lock(sleep_);
  }
  for (int64_t i = std::min(sleeping, most); i > 0; --i) job_arrived_.notify_one();
}

// Claims and runs chunks until none is left.
void ThreadPool::Team::work(int thread) {
  inside_chunk = true;
  int64_t completed = 0;
  uint64_t claim = claim_.load(std::memory_order_acquire);
  while (true) {
    // These may belong to a later job than `claim`. Then the exchange fails, or this worker sees no
    // chunk left and comes back because the job's number has changed.
    ChunkFn fn = fn_.load(std::memory_order_acquire);
    void* ctx = ctx_.load(std::memory_order_acquire);
    const int64_t chunks = chunks_.load(std::memory_order_acquire);
    const Claim claimed(claim);
    if (claimed.by_caller + claimed.by_workers >= chunks) break;
    const uint64_t one = thread == 0 ? 1 : uint64_t{1} << kChunkBits;
    if (!claim_.compare_exchange_weak(claim, claim + one, std::memory_order_acq_rel,
                                      std::memory_order_acquire))
      continue;
    fn(ctx, thread == 0 ? claimed.by_caller : chunks - 1 - claimed.by_workers, thread);
    ++completed;
    claim = claim_.load(std::memory_order_acquire);
  }
  inside_chunk = false;
  if (completed == 0) return;
  // With this the caller may return: the job is no longer ours to look at.
  done_.fetch_add(completed, std::memory_order_seq_cst);
  if (thread != 0 && sleeping_caller_.load(std::memory_order_seq_cst)) {
    {
      std::lock_guard lock(sleep_);
    }
    chunks_done_.notify_one();
  }
}

void ThreadPool::Team::wait_for_chunks(int64_t chunks) {
  auto all_done = [&] { return done_.load(std::memory_order_seq_cst) == chunks; };
  if (all_done() || (spin_ && spin_until(all_done))) return;
  std::unique_lock lock(sleep_);
  sleeping_caller_.store(true, std::memory_order_seq_cst);
  chunks_done_.wait(lock, all_done);
  sleeping_caller_.store(false, std::memory_order_relaxed);
}

void ThreadPool::Team::worker_loop(int thread) {
  // Jobs are numbered from 1; a worker that starts late joins the one that is running.
  for (uint64_t last_job = 0; wait_for_job(last_job);) {
    last_job = current_job();
    work(thread);
  }
}

// Returns false when the team is being dissolved.
bool ThreadPool::Team::wait_for_job(uint64_t last_job) {
  auto ready = [&] { return current_job() != last_job || stop_.load(std::memory_order_relaxed); };
  if (!ready() && !(spin_ && spin_until(ready))) {
    std::unique_lock lock(sleep_);
    sleeping_workers_.fetch_add(1, std::memory_order_seq_cst);
    job_arrived_.wait(lock, ready);
    sleeping_workers_.fetch_sub(1, std::memory_order_relaxed);
  }
  return !stop_.load(std::memory_order_relaxed);
}

ThreadPool::ThreadPool(int threads) : threads_(threads), fork_generation_(fork_generation()) {
  if (threads < 1) fail("a thread pool of {} threads: expected at least 1", threads);
}

ThreadPool::ThreadPool(HostThreads host)
    : threads_(host.count), host_(host), fork_generation_(fork_generation()) {
  if (host.count < 1) fail("host threads: a count of {}; expected at least 1", host.count);
  if (!host.parallel) fail("host threads: the callback `parallel` is null");
}

ThreadPool::~ThreadPool() {
  if (fork_generation_ == fork_generation()) return;
  // After a fork the team's threads are the parent's: joining them, or destroying a condition they
  // sleep on, would never end.
  [[maybe_unused]] Team* parents = team_.release();
}

bool ThreadPool::must_stay_on_caller() const {
  return threads_ == 1 || inside_chunk ||
         fork_generation_ != fork_count.load(std::memory_order_relaxed);
}

// Requires dispatch_.
ThreadPool::Team& ThreadPool::team() {
  if (!team_) team_ = std::make_unique<Team>(threads_);
  return *team_;
}

void ThreadPool::parallel_for(int64_t chunks, ChunkFn fn, void* ctx) {
  if (chunks <= 1 || must_stay_on_caller()) return run_on_caller(chunks, fn, ctx);
  if (host_.parallel) {
    HostJob job{fn, ctx};
    return host_.parallel(host_.host, chunks, run_host_chunk, &job);
  }
  std::unique_lock lock(dispatch_, std::try_to_lock);
  if (!lock) return run_on_caller(chunks, fn, ctx);
  if (chunks <= kMostChunks) return team().run(chunks, fn, ctx);
  for (Part part{fn, ctx, 0}; part.first < chunks; part.first += kMostChunks)
    team().run(std::min(chunks - part.first, kMostChunks), run_part_chunk, &part);
}

void ThreadPool::parallel_region(int threads, RegionFn fn, void* ctx) {
  if (threads <= 1 || host_.parallel || must_stay_on_caller()) return fn(ctx, 0, 1);
  std::unique_lock lock(dispatch_, std::try_to_lock);
  if (!lock) return fn(ctx, 0, 1);
  // A chunk a thread: one that waits at a barrier cannot claim another, so the chunks the barrier
  // waits for fall to the other threads.
  Region region{fn, ctx, std::min(threads, team().threads())};
  team().run(region.threads, run_region_thread, &region);
}

void SpinBarrier::arrive_and_wait() {
  uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  // Phases are microseconds apart; who waits longer is waiting for a thread without a CPU.
  constexpr int kSpins = 2000;
  for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
    if (spins < kSpins) pause();
    else std::this_thread::yield();
  }
}

}  // namespace lathe
