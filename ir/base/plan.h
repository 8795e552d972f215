// Plan: the memory and control flow of a compiled program, as plain data. Together with one
// function per kernel it is all that the runtime needs; ir/program.h adds the kernels themselves.
#pragma once

#include <string>
#include <vector>

#include "ir/base/tensor.h"

namespace lathe {

enum class BufferKind : uint8_t {
  Input,     // graph input `index`, the caller's storage
  Output,    // graph output `index`, the caller's storage
  Constant,  // Plan::constants[index]
  Arena,     // `offset` bytes into the run's arena
  Local,     // `offset` bytes into what each thread has of its own in an independent loop
};

struct Buffer {
  std::string name;  // for people
  BufferKind kind = BufferKind::Arena;
  int index = 0;
  int64_t bytes = 0;
  int64_t offset = 0;  // Arena and Local, 64-byte aligned
};

// offset += stride * i, or stride * (i & 1) where `parity`; i counts the loop's iterations from 0
// and keeps its final value (the trip count) after the loop.
struct LoopTerm {
  int loop = 0;
  int64_t stride = 0;
  bool parity = false;
};

struct BufferRef {
  int buffer = -1;
  int64_t offset = 0;  // bytes
  std::vector<LoopTerm> terms;
};

enum class StepKind : uint8_t {
  Call,   // kernel(args..)
  Copy,   // bytes from args[0] to args[1]
  Sort,   // the places of the elements at args[0], as i64 to args[1]: see SortStep
  Loop,   // body `count` times
  While,  // condition, then while the bool at args[0] is true: body, condition
  If,     // body where the bool at args[0] is true, else `other`
};

// `lanes` times `length` elements; of each lane the first `count` in order (ir/ops/sort.cpp).
struct SortStep {
  DType dtype = DType::f32;
  int64_t lanes = 0, length = 0, count = 0;
  bool descending = false;
};

// Calls that run at the same time, at most.
inline constexpr size_t kMostJoined = 8;

struct Step {
  StepKind kind = StepKind::Call;
  int kernel = -1;
  int64_t bytes = 0;
  int loop = -1;
  int64_t count = 0;
  // Loop: no iteration reads what another writes, but for Local buffers, which each writes before
  // it reads them. Iterations may run in any order and at the same time.
  bool independent = false;
  // Call: neither it nor a call right before it, from the last that does not join, touches what the
  // other writes. They may run at the same time.
  bool joins = false;
  SortStep sort;
  std::vector<BufferRef> args;
  std::vector<Step> body;
  std::vector<Step> other;  // While: the condition; If: the other branch
};

// A graph input or output as the caller sees it.
struct Port {
  std::string name;
  DType dtype = DType::f32;
  Dims dims;
  int buffer = -1;
  // Outputs: the input whose storage receives the value (and is both read and written), or -1.
  int updates = -1;
};

struct Plan {
  std::vector<Buffer> buffers;
  std::vector<Tensor> constants;
  std::vector<Step> steps;
  std::vector<Port> inputs, outputs;
  int kernels = 0;
  int loops = 0;
  int64_t arena_bytes = 0;  // a multiple of 64, as are those of a thread
  int64_t local_bytes = 0;  // of one thread
};

// What a run on so many threads takes beside inputs, outputs and constants: the arena, then what
// each thread has of its own.
inline int64_t temporary_bytes(const Plan& p, int threads) {
  return p.arena_bytes + threads * p.local_bytes;
}

}  // namespace lathe
