#include "runtime/executable.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "runtime/artifact/argsort.h"

namespace lathe {
namespace {

constexpr size_t kMaxArgs = 64;
constexpr int64_t kSortGrain = 1 << 13;  // elements that are worth a thread
constexpr int64_t kMostChunks = 256;     // of an independent loop

int find_port(const std::vector<Port>& ports, std::string_view name) {
  for (size_t i = 0; i < ports.size(); ++i)
    if (ports[i].name == name) return static_cast<int>(i);
  return -1;
}

size_t arg_limit(const std::vector<Step>& steps) {
  size_t most = 0;
  for (const Step& s : steps)
    most = std::max({most, s.args.size(), arg_limit(s.body), arg_limit(s.other)});
  return most;
}

bool has_independent(const std::vector<Step>& steps) {
  return std::ranges::any_of(steps, [](const Step& s) {
    return s.independent || has_independent(s.body) || has_independent(s.other);
  });
}

std::byte* address(const BufferRef& ref, const std::vector<std::byte*>& base,
                   const std::vector<int64_t>& iteration) {
  int64_t offset = ref.offset;
  for (const LoopTerm& t : ref.terms) {
    const int64_t i = iteration[static_cast<size_t>(t.loop)];
    offset += t.stride * (t.parity ? i & 1 : i);
  }
  return base[static_cast<size_t>(ref.buffer)] + offset;
}

}  // namespace

Executable::Executable(Plan plan, std::vector<KernelEntry> kernels,
                       std::vector<std::shared_ptr<const void>> keep,
                       std::shared_ptr<ThreadPool> pool, std::shared_ptr<Arena> arena)
    : plan_(std::move(plan)),
      kernels_(std::move(kernels)),
      keep_(std::move(keep)),
      pool_(std::move(pool)),
      arena_(arena ? std::move(arena) : std::make_shared<Arena>()),
      frames_(has_independent(plan_.steps) ? static_cast<size_t>(pool_->threads()) : 1,
              {std::vector<std::byte*>(plan_.buffers.size(), nullptr),
               std::vector<int64_t>(static_cast<size_t>(plan_.loops), 0)}) {
  LATHE_ASSERT(std::ssize(kernels_) == plan_.kernels);
  LATHE_ASSERT(arg_limit(plan_.steps) <= kMaxArgs, "a kernel has too many operands");
  place_temporaries();
  for (size_t i = 0; i < plan_.buffers.size(); ++i) {
    const Buffer& b = plan_.buffers[i];
    if (b.kind == BufferKind::Constant)
      place(static_cast<int>(i), plan_.constants[static_cast<size_t>(b.index)].raw());
  }
}

void Executable::place(int buffer, const void* at) {
  for (Frame& f : frames_)
    f.base[static_cast<size_t>(buffer)] = static_cast<std::byte*>(const_cast<void*>(at));
}

void Executable::place_temporaries() {
  if (arena_bytes() == 0) return;
  std::byte* at = arena_->at_least(arena_bytes());
  if (at == arena_at_) return;
  arena_at_ = at;
  for (size_t i = 0; i < plan_.buffers.size(); ++i) {
    const Buffer& b = plan_.buffers[i];
    if (b.kind == BufferKind::Arena) place(static_cast<int>(i), at + b.offset);
    if (b.kind != BufferKind::Local) continue;
    std::byte* own = at + plan_.arena_bytes + b.offset;
    for (Frame& f : frames_) f.base[i] = own, own += plan_.local_bytes;
  }
}

int Executable::find_input(std::string_view name) const { return find_port(plan_.inputs, name); }
int Executable::find_output(std::string_view name) const { return find_port(plan_.outputs, name); }

// A call whose arguments are known.
struct alignas(64) Executable::Prepared {
  Prepared(const KernelEntry& kernel, const Step& step, const Frame& frame) : k(kernel) {
    for (size_t i = 0; i < step.args.size(); ++i)
      args[i] = address(step.args[i], frame.base, frame.iteration);
  }
  int64_t chunks() const { return (k.extent + k.grain - 1) / k.grain; }
  void all() const { k.fn(args.data(), 0, k.extent, k.context); }
  void run(int64_t chunk) const {
    const int64_t begin = chunk * k.grain;
    k.fn(args.data(), begin, std::min(begin + k.grain, k.extent), k.context);
  }

  const KernelEntry& k;
  std::array<void*, kMaxArgs> args;
};

void Executable::call(const Step& step, const Frame& frame) {
  const Prepared call(kernel_of(step), step, frame);
  const int64_t chunks = call.chunks();
  if (chunks <= 1 || pool_->threads() == 1) return call.all();
  pool_->parallel_for(chunks, [&](int64_t chunk, int) { call.run(chunk); });
}

// The chunks of all of them are those of one computation: the first halves of each, then the second
// halves the other way round, because a pool begins at both ends and gives each thread its half. It
// is between the chunks of the first call that threads meet, which is the largest where the others
// are what its panels leave.
void Executable::call_joined(std::span<const Step> steps, const Frame& frame) {
  std::array<std::optional<Prepared>, kMostJoined> calls;
  int64_t chunks = 0;
  for (size_t i = 0; i < steps.size(); ++i)
    chunks += calls[i].emplace(kernel_of(steps[i]), steps[i], frame).chunks();
  pool_->parallel_for(chunks, [&](int64_t chunk, int) {
    int64_t from_end = chunks - 1 - chunk;
    for (size_t i = steps.size(); i-- > 0;) {
      const int64_t all = calls[i]->chunks(), second = all / 2, first = all - second;
      if (chunk < first) return calls[i]->run(chunk);
      if (from_end < second) return calls[i]->run(all - 1 - from_end);
      chunk -= first, from_end -= second;
    }
  });
}

// How many calls from `i` on run at the same time.
size_t Executable::joined(const std::vector<Step>& steps, size_t i) const {
  if (profiling_ || split_ || pool_->threads() == 1) return 1;
  size_t end = i + 1;
  while (end < steps.size() && steps[end].joins) ++end;
  return end - i;
}

void Executable::sort(const Step& step, const Frame& frame) {
  const SortStep& s = step.sort;
  const std::byte* x = address(step.args[0], frame.base, frame.iteration);
  auto* places = reinterpret_cast<int64_t*>(address(step.args[1], frame.base, frame.iteration));
  const int64_t lane_bytes = s.length * byte_size(s.dtype);
  const int64_t grain = std::max<int64_t>(kSortGrain / s.length, 1);
  const auto sort_from = [&, call = argsort_of(s.dtype).call](int64_t begin, int64_t lanes) {
    call(x + begin * lane_bytes, places + begin * s.count, lanes, s.length, s.count,
         s.descending ? 1 : 0);
  };
  if (s.lanes <= grain || pool_->threads() == 1) return sort_from(0, s.lanes);
  pool_->parallel_for((s.lanes + grain - 1) / grain, [&](int64_t chunk, int) {
    const int64_t begin = chunk * grain;
    sort_from(begin, std::min(grain, s.lanes - begin));
  });
}

void Executable::loop(const Step& step, Frame& frame) {
  if (step.independent && !split_ && !profiling_ && frames_.size() > 1)
    return run_independently(step, frame);
  int64_t& i = frame.iteration[static_cast<size_t>(step.loop)];
  for (i = 0; i < step.count; ++i) execute(step.body, frame);
}

// Loops that are all that the loop around them does count together.
void Executable::run_independently(const Step& step, Frame& frame) {
  std::vector<const Step*> nest{&step};
  while (nest.back()->body.size() == 1 && nest.back()->body[0].independent)
    nest.push_back(&nest.back()->body[0]);
  int64_t count = 1;
  for (const Step* s : nest) count *= s->count;
  for (Frame& f : frames_)
    if (&f != &frame) f.iteration = frame.iteration;
  const int64_t grain = std::max<int64_t>(count / kMostChunks, 1);
  split_ = true;
  pool_->parallel_for((count + grain - 1) / grain, [&](int64_t chunk, int thread) {
    Frame& mine = frames_[static_cast<size_t>(thread)];
    for (int64_t at = chunk * grain; at < std::min((chunk + 1) * grain, count); ++at) {
      int64_t rest = at;
      for (size_t k = nest.size(); k-- > 0;) {
        mine.iteration[static_cast<size_t>(nest[k]->loop)] = rest % nest[k]->count;
        rest /= nest[k]->count;
      }
      execute(nest.back()->body, mine);
    }
  });
  split_ = false;
}

void Executable::execute(const std::vector<Step>& steps, Frame& frame) {
  const auto at = [&](const BufferRef& ref) { return address(ref, frame.base, frame.iteration); };
  for (size_t next = 0; next < steps.size(); ++next) {
    const Step& s = steps[next];
    switch (s.kind) {
      case StepKind::Call:
        if (const size_t count = joined(steps, next); count > 1) {
          call_joined({&s, count}, frame);
          next += count - 1;
        } else if (profiling_) {
          const auto start = std::chrono::steady_clock::now();
          call(s, frame);
          const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
          KernelTime& t = times_[static_cast<size_t>(s.kernel)];
          ++t.calls;
          t.seconds += took.count();
        } else {
          call(s, frame);
        }
        break;
      case StepKind::Copy:
        if (s.bytes > 0) std::memcpy(at(s.args[1]), at(s.args[0]), static_cast<size_t>(s.bytes));
        break;
      case StepKind::Sort: sort(s, frame); break;
      case StepKind::Loop: loop(s, frame); break;
      case StepKind::While: {
        int64_t& i = frame.iteration[static_cast<size_t>(s.loop)];
        i = 0;
        for (execute(s.other, frame); *reinterpret_cast<const bool*>(at(s.args[0]));
             execute(s.other, frame)) {
          execute(s.body, frame);
          ++i;
        }
        break;
      }
      case StepKind::If:
        execute(*reinterpret_cast<const bool*>(at(s.args[0])) ? s.body : s.other, frame);
        break;
    }
  }
}

void Executable::look_for_kernels(bool wait) {
  if (!ready_) return;
  std::optional<std::vector<KernelFunction>> functions = ready_(wait);
  if (!functions) return;
  ready_ = nullptr;
  if (functions->empty()) return;
  LATHE_ASSERT(functions->size() == kernels_.size());
  keep_.clear();
  for (size_t i = 0; i < kernels_.size(); ++i) {
    KernelFunction& f = (*functions)[i];
    kernels_[i].fn = f.fn;
    kernels_[i].context = f.context;
    kernels_[i].name = std::move(f.name);
    keep_.push_back(std::move(f.keep));
  }
}

void Executable::run(std::span<void* const> inputs, std::span<void* const> outputs) {
  LATHE_ASSERT(inputs.size() == plan_.inputs.size() && outputs.size() == plan_.outputs.size());
  look_for_kernels(false);
  place_temporaries();
  for (size_t i = 0; i < inputs.size(); ++i) place(plan_.inputs[i].buffer, inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (plan_.outputs[i].updates < 0) place(plan_.outputs[i].buffer, outputs[i]);
  execute(plan_.steps, frames_[0]);
}

std::vector<Tensor> Executable::run(const std::vector<Tensor>& inputs) {
  if (inputs.size() != plan_.inputs.size())
    fail("{} inputs given, {} expected", inputs.size(), plan_.inputs.size());
  std::vector<bool> updated(inputs.size(), false);
  for (const Port& out : plan_.outputs)
    if (out.updates >= 0) updated[static_cast<size_t>(out.updates)] = true;
  std::vector<void*> in, out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Port& port = plan_.inputs[i];
    if (inputs[i].dtype() != port.dtype || inputs[i].dims() != port.dims)
      fail("input '{}' is {}, expected {}[{}]", port.name, inputs[i].type_text(),
           lathe::name(port.dtype), Shape(port.dims).text());
    Tensor shared = inputs[i];
    in.push_back(updated[i] ? shared.mutable_raw() : const_cast<void*>(shared.raw()));
  }
  std::vector<Tensor> results;
  for (const Port& port : plan_.outputs) {
    results.push_back(port.updates >= 0 ? inputs[static_cast<size_t>(port.updates)]
                                        : Tensor::empty(port.dtype, port.dims));
    out.push_back(results.back().mutable_raw());
  }
  run(in, out);
  return results;
}

void Executable::profile(bool on) {
  profiling_ = on;
  times_.clear();
  if (!on) return;
  wait_for_kernels();
  for (const KernelEntry& k : kernels_)
    times_.push_back({static_cast<int>(times_.size()), k.name, 0, 0});
}

std::vector<Executable::KernelTime> Executable::times() const {
  std::vector<KernelTime> sorted = times_;
  std::sort(sorted.begin(), sorted.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  return sorted;
}

}  // namespace lathe
