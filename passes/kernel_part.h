// A kernel that is called part by part along one of its parallel ivs.
#pragma once

#include <optional>

#include "ir/kernel.h"

namespace lathe {

// fn(Access&) of all loads and stores.
template <class K, class F>
void for_each_access(K& k, F&& fn) {
  for (auto& in : k.body)
    if (in.op == Scalar::Load) fn(in.access);
  for (auto& s : k.stores) fn(s.access);
}

// By operand, the elements between what neighbouring values of a parallel iv reach. Nothing where
// more than plain offsets depends on the iv, where accesses of one operand move apart or where
// data decides what an access reaches: then the caller cannot say where a part begins.
std::optional<std::vector<int64_t>> steps_along(const Kernel& k, SymbolId iv);

// The kernel over the first `count` values of a parallel iv: where others begin is the caller's.
Kernel first_values(Kernel k, SymbolId iv, int64_t count);

}  // namespace lathe
