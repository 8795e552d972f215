// Passes over one kernel, in the order the pipeline applies them (see pipeline.cpp).
#pragma once

#include "ir/base/target.h"
#include "ir/kernel.h"

namespace lathe {

// Puts the reduction ivs of a Reduce in the order in which memory lies: by falling stride in the
// first load that tells two of them apart. Strides are ordered as the axes of the loaded tensor
// are, whatever the extents, so the order of a sum does not change with the batch.
void order_reduction(Kernel& k);

// Drops reduction ivs of extent 1 and merges neighbours that every index expression walks as one.
void canonicalize_reduction(Kernel& k);

// Chooses the summation order from the structure of the accesses alone, never from parallel
// extents, so that a result does not change with the batch: Lanes where the folded loads walk the
// last reduction iv element by element and no parallel iv does (for products: and only one of the
// factors varies over the parallel space), else Sequential.
void choose_order(Kernel& k);

// Takes the steps of a reduction by FmaFlush in pairs, the second before the first: the last
// reduction iv becomes two, one over pairs and one over the two of a pair. The second of the last
// pair may be missing: it is guarded, so that both factors are 0.
void pair_steps(Kernel& k);

// The same as canonicalize_reduction for parallel ivs: equal work has equal text, and inner loops
// are long.
void canonicalize_parallel(Kernel& k);

// Rewrites transcendental scalars into machine scalars; error bounds in passes/math/.
void expand_math(Kernel& k);

// Chooses what to split, vectorise and tile; results do not depend on it.
KernelSchedule choose_schedule(const Kernel& k, const Target& target);

}  // namespace lathe
