// Which backend runs a kernel: an ordered list, the first that accepts wins.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "backends/backend.h"
#include "ir/program.h"

namespace lathe {

enum class Backend : uint8_t { Auto, Llvm, Simd, Interpreter };

std::optional<Backend> parse_backend(std::string_view text);
std::string_view name(Backend b);

// A backend that `auto` came to but that cannot run the kernels, and the one that does instead.
struct Fallback {
  Backend from = Backend::Llvm, to = Backend::Simd;
  std::string reason;
};
using OnFallback = std::function<void(const Fallback&)>;

// One line on stderr with the reason and what to do; once a process for each backend passed over.
void warn_of_fallback(const Fallback& fallback);

// On stderr, where LATHE_VERBOSE lists "dispatch".
void explain_dispatch(const std::string& message);

// One compiled kernel for each of the program's. Auto tries LLVM, then xsimd, then the interpreter,
// and tells `on_fallback` (null: warn_of_fallback) why one was passed over; a backend asked for by
// name that cannot be had is a user error with its reason. LATHE_VERBOSE=dispatch says on stderr
// who runs what.
std::vector<CompiledKernel> select_kernels(const Program& p, const Target& target, Backend backend,
                                           int threads, const OnFallback& on_fallback = {});

}  // namespace lathe
