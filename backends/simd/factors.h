// The factors of a reduction that sums products, and how they are walked.
#pragma once

#include "ir/kernel.h"

namespace lathe::simd {

// Why the kernel is not one sequential reduction in f32 whose operands are not used after it, or
// null.
const char* refuse_reduction(const Kernel& k);
// Why a value is not a load from an operand of this type, affine in the ivs, or null. It may be
// guarded.
const char* refuse_factor(const Kernel& k, ScalarId id, DType type);
// Why the kernel is not one sequential sum, in f32, of products of two loads from operands of this
// type, affine in the ivs, or null. The loads may be guarded.
const char* refuse_product(const Kernel& k, DType factors);

const IndexExpr& factor_offset(const Kernel& k, ScalarId id);
bool guarded(const Kernel& k, ScalarId id);
// Whether iv i moves one of the factor's guards; whether it moves the factor or one of those.
bool decides(const Kernel& k, ScalarId id, int i);
bool concerns(const Kernel& k, ScalarId id, int i);

bool holds(const Guard& g, int64_t index);
// Leaves of [*begin, *end) those i at which the guard holds, whose index there is at + i * step;
// *end may come before *begin. Precondition: the step is a multiple of what the guard asks for.
void narrow(const Guard& g, int64_t at, int64_t step, int64_t* begin, int64_t* end);
// What the parallel ivs make of an index, at the values that `symbols` has for them.
int64_t index_at(const Kernel& k, const IndexExpr& e, const int64_t* symbols);

// Reduction ivs are walked in runs, each along the last of them. What `e` has at the first element
// of each run, and by how much it advances within one.
std::vector<int64_t> run_offsets(const Kernel& k, const IndexExpr& e);
int64_t step_of_k(const Kernel& k, const IndexExpr& e);

}  // namespace lathe::simd
