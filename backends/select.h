// Which backend runs a kernel: an ordered list, the first that accepts wins.
#pragma once

#include <optional>
#include <string_view>

#include "backends/backend.h"
#include "ir/program.h"

namespace lathe {

enum class Backend : uint8_t { Auto, Llvm, Simd, Interpreter };

std::optional<Backend> parse_backend(std::string_view text);
std::string_view name(Backend b);

// One compiled kernel for each of the program's. Auto tries LLVM, then xsimd, then the interpreter,
// and says on stderr why one was passed over under LATHE_VERBOSE=dispatch; a backend asked for by
// name that cannot be had is a user error with its reason.
std::vector<CompiledKernel> select_kernels(const Program& p, const Target& target, Backend backend,
                                           int threads);

}  // namespace lathe
