// What every fuzz target shares. A target is one fuzz_NAME.cpp that defines `lathe::fuzz_input`;
// corpus/NAME/ holds inputs that reach its parts, and those that once broke it. Built by g++ it
// replays that folder as a test; scripts/fuzz builds it with clang's libFuzzer and searches on.
#pragma once

#include <functional>
#include <string_view>

#include "ir/base/error.h"

namespace lathe {

// Any bytes: returns, or aborts where they show a defect.
void fuzz_input(std::string_view bytes);

// Aborts, with `message` on stderr.
[[noreturn]] void found(std::string_view message);

// True where the call succeeds, false where it refuses the input in words; an internal error, or
// any other exception, is a defect.
bool holds(const std::function<void()>& call);

}  // namespace lathe
