// The text form of kernels and schedules. Its grammar: ir/README.md, section Kernel.
//
// Printing is deterministic, and parse_kernel(print_kernel(k)) prints the same text for every
// verified kernel; the label is not part of it.
#pragma once

#include <string>
#include <string_view>

#include "ir/base/error.h"
#include "ir/kernel.h"

namespace lathe {

std::string print_kernel(const Kernel& k);

// Safe on hostile text. Checks syntax and that names exist where they are used; everything else is
// verify_kernel's. Errors read "line:column: expected .., found ..".
Result<Kernel> parse_kernel(std::string_view text);

// Of the text, and so the same on every machine: what caches are keyed by.
uint64_t hash_kernel(const Kernel& k);

// One line: "schedule parallel=0 grain=4 vector=1 tile=8x32". Symbols are ids, -1 is none.
std::string print_schedule(const KernelSchedule& s);
Result<KernelSchedule> parse_schedule(std::string_view text);

}  // namespace lathe
