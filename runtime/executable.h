// A compiled program, ready to run: the plan, one function per kernel, and an arena.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ir/base/plan.h"
#include "runtime/arena.h"
#include "runtime/kernel_abi.h"
#include "runtime/thread_pool.h"

namespace lathe {

// How to call one kernel: values [0, extent) of its parallel iv in chunks of `grain`.
struct KernelEntry {
  KernelFn fn = nullptr;
  const void* context = nullptr;
  int64_t extent = 1;
  int64_t grain = 1;
  std::string name;  // label and implementation, for profiles
};

// Does what a kernel's own function does, to the bit.
struct KernelFunction {
  KernelFn fn = nullptr;
  const void* context = nullptr;
  std::string name;  // as in KernelEntry
  std::shared_ptr<const void> keep;
};

// Functions in place of all kernels' own, once they are there; empty where they never will be. With
// `wait` it returns only then.
using ReplaceKernels = std::function<std::optional<std::vector<KernelFunction>>(bool wait)>;

// One run at a time; several Executables may run at once. Shares the pool with others.
class Executable {
 public:
  // `keep` owns the kernels' code. `arena` may be shared with executables that do not run
  // meanwhile; null: one of its own.
  Executable(Plan plan, std::vector<KernelEntry> kernels,
             std::vector<std::shared_ptr<const void>> keep, std::shared_ptr<ThreadPool> pool,
             std::shared_ptr<Arena> arena = nullptr);

  const std::vector<Port>& inputs() const { return plan_.inputs; }
  const std::vector<Port>& outputs() const { return plan_.outputs; }
  const Plan& plan() const { return plan_; }
  // Of the arena that a run uses.
  int64_t arena_bytes() const { return temporary_bytes(plan_, static_cast<int>(frames_.size())); }
  // -1 where there is none of that name.
  int find_input(std::string_view name) const;
  int find_output(std::string_view name) const;

  // Pointers in port order, each to Port::dims elements of Port::dtype, not overlapping. Inputs
  // that an output updates are read and written; that output's own pointer is not used and may be
  // null.
  void run(std::span<void* const> inputs, std::span<void* const> outputs);

  // Checks dtypes and dims (a user error names the port) and allocates the outputs. Updated inputs
  // must be writable tensors; their outputs are returned as the same storage.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);

  // `ready` is asked at the start of every run until it has answered.
  void replace_kernels(ReplaceKernels ready) { ready_ = std::move(ready); }
  // Until the kernels are those that the executable will keep.
  void wait_for_kernels() { look_for_kernels(true); }

  // Seconds spent in each kernel over all runs since `profile(true)`, which waits for kernels on
  // their way; the slowest first. Meanwhile iterations of independent loops take turns.
  void profile(bool on);
  struct KernelTime {
    int kernel = 0;
    std::string name;
    int64_t calls = 0;
    double seconds = 0;
  };
  std::vector<KernelTime> times() const;

 private:
  // Where one thread stands: the buffers as it sees them, and its loops' iterations.
  struct Frame {
    std::vector<std::byte*> base;    // by buffer, for the current run
    std::vector<int64_t> iteration;  // by loop
  };

  void look_for_kernels(bool wait);
  void place_temporaries();
  void place(int buffer, const void* at);
  void execute(const std::vector<Step>& steps, Frame& frame);
  void loop(const Step& step, Frame& frame);
  void run_independently(const Step& step, Frame& frame);
  struct Prepared;
  const KernelEntry& kernel_of(const Step& call) const {
    return kernels_[static_cast<size_t>(call.kernel)];
  }
  void call(const Step& step, const Frame& frame);
  size_t joined(const std::vector<Step>& steps, size_t i) const;
  void call_joined(std::span<const Step> steps, const Frame& frame);
  void sort(const Step& step, const Frame& frame);

  Plan plan_;
  std::vector<KernelEntry> kernels_;
  std::vector<std::shared_ptr<const void>> keep_;
  ReplaceKernels ready_;  // null where there is nothing to wait for
  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<Arena> arena_;
  std::byte* arena_at_ = nullptr;  // what the frames were filled for
  std::vector<Frame> frames_;      // by thread; one where no loop is independent
  bool split_ = false;             // within an independent loop that threads share
  std::vector<KernelTime> times_;
  bool profiling_ = false;
};

}  // namespace lathe
