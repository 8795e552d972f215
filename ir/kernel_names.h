// The words of the kernel text form, shared by its printer and its parser.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "ir/kernel.h"

namespace lathe {

inline constexpr std::array<std::string_view, 9> kCombineNames = {
    "add", "max", "min", "mul", "and", "or", "fma", "fma_flush", "assign"};
inline constexpr std::array<std::string_view, 4> kCoreNames = {"map", "reduce", "cumulative",
                                                               "scatter"};
inline constexpr std::array<std::string_view, 3> kRoleNames = {"in", "out", "inout"};

constexpr std::string_view name(Combine c) { return kCombineNames[static_cast<size_t>(c)]; }
constexpr std::string_view name(Core c) { return kCoreNames[static_cast<size_t>(c)]; }
constexpr std::string_view name(OperandRole r) { return kRoleNames[static_cast<size_t>(r)]; }

// The enumerator that `names` calls `text`.
template <class E, size_t N>
constexpr std::optional<E> find_name(const std::array<std::string_view, N>& names,
                                     std::string_view text) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == text) return static_cast<E>(i);
  return std::nullopt;
}

}  // namespace lathe
