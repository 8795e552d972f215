// The public door: a graph in, something that runs out.
#pragma once

#include <memory>

#include "backends/select.h"
#include "ir/graph.h"
#include "ir/program.h"
#include "runtime/executable.h"

namespace lathe {

enum class Numerics : uint8_t {
  Strict,  // as the graph says, in its operations and types
  Fast,    // products of dequantised bytes are summed in integers (passes/integer_products.h)
};

struct CompileOptions {
  Target target;    // default: this machine (see compile_options)
  int threads = 0;  // 0: thread_count() of runtime/cpu.h
  Backend backend = Backend::Auto;
  DimBinding dims;                   // values of the graph's symbolic dims
  std::shared_ptr<ThreadPool> pool;  // shared with other executables; null: one is made
  std::shared_ptr<Arena> arena;  // shared with those that do not run meanwhile; null: one is made
  // With Backend::Auto: run on LLVM's code only, not on xsimd's kernels while LLVM compiles. The
  // results are the same bits.
  bool wait_compile = false;
  Numerics numerics = Numerics::Strict;
  OnFallback on_fallback;  // told which backend Auto passed over, and why; null: warn_of_fallback
};

// For this machine and environment (LATHE_ISA, LATHE_THREADS, LATHE_WAIT_COMPILE).
CompileOptions compile_options();

// Errors: user errors of the graph (unbound dims), a backend that cannot be had.
Program compile_program(const Graph& g, const CompileOptions& options);
std::unique_ptr<Executable> compile(const Graph& g, const CompileOptions& options);
std::unique_ptr<Executable> make_executable(const Program& p, const CompileOptions& options);
// The last step alone: kernels that select_kernels gave for p, on a pool.
std::unique_ptr<Executable> make_executable(const Program& p, std::vector<CompiledKernel> kernels,
                                            std::shared_ptr<ThreadPool> pool,
                                            std::shared_ptr<Arena> arena = nullptr);

// What profiles call a kernel: its label and what runs it.
std::string kernel_name(const Kernel& k, const CompiledKernel& compiled);

}  // namespace lathe
