// The environment variables Lathe honours, read in one place and nowhere else.
//
//   LATHE_ISA        sse42 | avx2 | avx512: use no more than this (checked in runtime/cpu.h)
//   LATHE_THREADS    threads a computation may use; before OMP_NUM_THREADS
//   OMP_NUM_THREADS  the same, shared with other libraries; of a list "4,2" the first counts
//   LATHE_VERBOSE    topics to explain on stderr, separated by commas: "dispatch,passes"
//   LATHE_CACHE_DIR  where compiled kernels are kept; set but empty: nowhere
//                    (default: $XDG_CACHE_HOME/lathe, else $HOME/.cache/lathe)
//   LATHE_LLVM_SO    the file of the LLVM backend (default: found beside the program)
//   LATHE_WAIT_COMPILE
//                    set and not empty: run LLVM's code only, not xsimd's kernels until it is there
//   NO_COLOR         set and not empty: no colours and no moving progress bars
#pragma once

#include <string>
#include <string_view>

namespace lathe {

struct Options {
  std::string isa;            // LATHE_ISA as given; empty: not set
  int threads = 0;            // LATHE_THREADS, else OMP_NUM_THREADS; 0: neither is set
  std::string verbose;        // LATHE_VERBOSE as given
  std::string cache_dir;      // empty: keep no kernels on disk
  std::string llvm_module;    // LATHE_LLVM_SO; empty: not set
  bool wait_compile = false;  // LATHE_WAIT_COMPILE
  bool no_color = false;

  // Whether LATHE_VERBOSE lists `topic`.
  bool explains(std::string_view topic) const;
};

// A variable's value, or null where it is not set; `::getenv` has this type.
using ReadVariable = const char* (*)(const char* name);

// A thread count that is not an integer of at least 1 is a user error naming variable and value.
Options read_options(ReadVariable read);

// The whole environment, for programs that Lathe starts.
char** process_environment();

// The options of this process, read at the first call; throws like read_options.
const Options& options();

}  // namespace lathe
