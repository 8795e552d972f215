// What the steps of a program use.
#pragma once

#include <span>

#include "ir/program.h"

namespace lathe {

// How often the steps name a buffer.
int64_t mentions(std::span<const Step> steps, int buffer);

bool same_place(const BufferRef& a, const BufferRef& b);

// Whether a step, or one inside of it, writes a buffer.
bool writes(const Program& p, const Step& s, int buffer);

// Whether two steps must keep their order: one writes what the other touches.
bool depends(const Program& p, const Step& a, const Step& b);

// The kernel reads operand `from`'s memory only at the element it stores to operand `to`, once all
// else that the element needs has been read: both may be one.
bool elementwise_over(const Kernel& k, int from, int to);

// Removes kernels that no step calls, and constants that no step or port names.
void drop_unused(Program& p);

}  // namespace lathe
