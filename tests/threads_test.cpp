#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "ir/base/error.h"
#include "runtime/thread_pool.h"

using namespace lathe;

namespace {

using Clock = std::chrono::steady_clock;

int live_threads() {
  auto tasks = std::filesystem::directory_iterator("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

double microseconds(Clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

// Fails the test rather than hanging it when threads do not come.
bool eventually(auto&& condition) {
  auto end = Clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

TEST_CASE("every chunk runs exactly once, whatever the number of threads") {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t chunks : {0, 1, 2, 7, 64, 1000, 100'000}) {
      std::vector<int> runs(chunks, 0);
      pool.parallel_for(chunks, [&](int64_t chunk, int thread) {
        ++runs[chunk];
        if (thread < 0 || thread >= threads) runs[chunk] += 100;
      });
      CHECK(std::count(runs.begin(), runs.end(), 1) == chunks);
    }
  }
}

// A worker that is late for a small job must not take a chunk of the larger one being prepared.
TEST_CASE("every chunk runs exactly once where small and large jobs follow each other closely") {
  for (int threads : {2, 3}) {
    ThreadPool pool(threads);
    std::vector<int64_t> runs(66, 0);
    int64_t small = 0, large = 0;
    const auto deadline = Clock::now() + std::chrono::milliseconds(1500);
    while (Clock::now() < deadline)
      for (int i = 0; i < 64; ++i) {
        const int64_t chunks = i % 2 == 0 ? 2 : 3 + i;
        pool.parallel_for(chunks, [&](int64_t chunk, int) { ++runs[chunk]; });
        (i % 2 == 0 ? small : large) += 1;
      }
    CHECK(runs[0] == small + large);
    CHECK(runs[2] == large);
    CHECK(runs[3] == large);
  }
}

TEST_CASE("what chunks write is visible to the caller and to the next job") {
  ThreadPool pool(3);
  std::vector<int64_t> values(64, 0);
  for (int round = 0; round < 5000; ++round)
    pool.parallel_for(64, [&](int64_t chunk, int) { values[chunk] += chunk; });
  for (int64_t i = 0; i < 64; ++i) CHECK(values[i] == 5000 * i);
}

TEST_CASE("no two chunks that run together have the same thread index") {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> users(4);
  std::atomic<int> clashes{0};
  for (int round = 0; round < 200; ++round)
    pool.parallel_for(50, [&](int64_t, int thread) {
      if (users[thread].fetch_add(1) != 0) ++clashes;
      users[thread].fetch_sub(1);
    });
  CHECK(clashes == 0);
}

TEST_CASE("a pool of one thread never starts another, and no pool starts any before it works") {
  int before = live_threads();
  {
    ThreadPool one(1), four(4);
    int64_t sum = 0;
    one.parallel_for(100, [&](int64_t chunk, int) { sum += chunk; });
    one.parallel_region(1, [&](int, int) { ++sum; });
    four.parallel_for(1, [&](int64_t, int) { ++sum; });
    CHECK(sum == 4952);
    CHECK(live_threads() == before);
    four.parallel_for(2, [](int64_t, int) {});
    CHECK(live_threads() == before + 3);
  }
  CHECK(eventually([&] { return live_threads() == before; }));
}

TEST_CASE("workers that have gone to sleep wake for the next job") {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> arrived{0};
    // Each chunk waits for the other, so both threads must have come.
    pool.parallel_for(2, [&](int64_t, int) {
      ++arrived;
      eventually([&] { return arrived == 2; });
    });
    CHECK(arrived == 2);
  }
}

TEST_CASE("a caller that has gone to sleep wakes when the last chunk is done") {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> arrived{0};
  pool.parallel_for(2, [&](int64_t, int) {
    ++arrived;
    eventually([&] { return arrived == 2; });
    if (std::this_thread::get_id() != caller)
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ++done;
  });
  CHECK(done == 2);
}

TEST_CASE("a nested call runs on the thread that makes it") {
  ThreadPool pool(3), other(3);
  std::atomic<int64_t> inner{0};
  std::atomic<int> moved{0};
  pool.parallel_for(8, [&](int64_t, int) {
    std::thread::id self = std::this_thread::get_id();
    for (ThreadPool* nested : {&pool, &other}) {
      nested->parallel_for(10, [&](int64_t, int thread) {
        ++inner;
        if (thread != 0 || std::this_thread::get_id() != self) ++moved;
      });
      nested->parallel_region(3, [&](int, int threads) { moved += threads != 1; });
    }
  });
  CHECK(inner == 160);
  CHECK(moved == 0);
}

TEST_CASE("callers may share a pool") {
  ThreadPool pool(2);
  std::vector<int64_t> sums(4, 0);
  std::vector<std::thread> callers;
  callers.reserve(sums.size());
  for (int64_t& sum : sums)
    callers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        std::vector<int64_t> parts(16, 0);
        pool.parallel_for(16, [&](int64_t chunk, int) { parts[chunk] = chunk; });
        sum += std::accumulate(parts.begin(), parts.end(), int64_t{0});
      }
    });
  for (std::thread& caller : callers) caller.join();
  for (int64_t sum : sums) CHECK(sum == 500 * 120);
}

TEST_CASE("the threads of a region run together and meet at barriers") {
  for (int threads : {2, 3, 5}) {
    ThreadPool pool(threads);
    constexpr int kPhases = 300;
    SpinBarrier barrier(threads);
    std::vector<int> left(threads, 0), right(threads, 0);
    std::atomic<int> wrong{0};
    pool.parallel_region(threads, [&](int thread, int n) {
      wrong += n != threads;
      // Each phase reads what the neighbour wrote in the one before.
      for (int phase = 0; phase < kPhases; ++phase) {
        std::vector<int>& from = phase % 2 ? right : left;
        std::vector<int>& to = phase % 2 ? left : right;
        to[thread] = from[(thread + 1) % n] + 1;
        barrier.arrive_and_wait();
      }
    });
    CHECK(wrong == 0);
    for (int value : left) CHECK(value == kPhases);
  }
}

TEST_CASE("a region has no more threads than its pool, and may have fewer") {
  ThreadPool pool(3);
  for (int asked : {1, 2, 3, 9}) {
    std::atomic<int> runs{0}, told{0};
    pool.parallel_region(asked, [&](int, int n) {
      ++runs;
      told = n;
    });
    CHECK(runs == std::min(asked, 3));
    CHECK(told == runs);
  }
}

TEST_CASE("a host's threads run the chunks") {
  struct Host {
    int calls = 0;
    int64_t chunks = 0;
  } host;
  auto parallel = [](void* self, int64_t chunks, ChunkFn fn, void* ctx) {
    Host& h = *static_cast<Host*>(self);
    ++h.calls;
    h.chunks += chunks;
    std::thread other([&] {
      for (int64_t i = 0; i < chunks; i += 2) fn(ctx, i, 1);
    });
    for (int64_t i = 1; i < chunks; i += 2) fn(ctx, i, 0);
    other.join();
  };
  ThreadPool pool(HostThreads{2, parallel, &host});
  CHECK(pool.threads() == 2);
  std::vector<int> runs(9, 0);
  pool.parallel_for(9, [&](int64_t chunk, int) {
    // Nested: must not reach the host again.
    pool.parallel_for(2, [&](int64_t, int) { ++runs[chunk]; });
  });
  CHECK(std::count(runs.begin(), runs.end(), 2) == 9);
  CHECK(host.calls == 1);
  CHECK(host.chunks == 9);
  int region_threads = 0;
  pool.parallel_region(2, [&](int, int n) { region_threads = n; });
  CHECK(region_threads == 1);
}

TEST_CASE("a pool without threads is refused") {
  CHECK_THROWS_WITH_AS(ThreadPool(0), "a thread pool of 0 threads: expected at least 1", Error);
  CHECK_THROWS_WITH_AS(ThreadPool(HostThreads{}), "host threads: the callback `parallel` is null",
                       Error);
}

#if !defined(__SANITIZE_THREAD__)  // TSan does not follow threads across fork
TEST_CASE("a forked child computes on its own thread and ends") {
  auto pool = std::make_unique<ThreadPool>(2);
  pool->parallel_for(8, [](int64_t, int) {});
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int64_t sum = 0;
    pool->parallel_for(8, [&](int64_t chunk, int thread) { sum += chunk + thread; });
    pool.reset();
    _exit(sum == 28 ? 0 : 1);
  }
  int status = -1;
  CHECK(eventually([&] { return waitpid(child, &status, WNOHANG) == child; }));
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
#endif

TEST_CASE("dispatching to spinning threads is quick") {
  ThreadPool pool(2);
  constexpr int kRounds = 2000;
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    auto start = Clock::now();
    pool.parallel_for(2, [](int64_t, int) {});
    times.push_back(microseconds(Clock::now() - start));
  }
  std::sort(times.begin(), times.end());
  MESSAGE("dispatch: median " << times[kRounds / 2] << " us, p95 " << times[kRounds * 19 / 20]
                              << " us");
  CHECK(times[kRounds / 2] < 100);  // generous: the machine may be busy or instrumented
}
