// OpDef: everything that is known about one op, in one record.
//
// Defining an op: one line in ops/ops.def, one `extern const OpDef` record in a family file, one
// row in tests/op_cases. See ir/ops/README.md.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "ir/kernel.h"
#include "ir/value_range.h"

namespace lathe {

class Vjp;         // ir/vjp.h
class Lowering;    // ir/lowering.h
class Evaluation;  // ir/eval.h
struct Index;      // ir/lowering.h

// What fusion and scheduling need to know; what each means for `lower` is said in ir/lowering.h.
enum class OpClass : uint8_t {
  Source,       // no tensor operands read: parameter, constant, iota
  Elementwise,  // result element i depends on operand elements i
  View,         // each result element is one operand element or a fill
  Gather,       // operand 0 is read at data-dependent places
  Reduce,       // each result element folds many operand elements
  Contract,     // a Reduce of products of two operands
  Cumulative,   // prefix folds along one axis
  Scatter,      // operand 0 updated at data-dependent places
  Sort,         // puts lanes in order; a program step of its own
  Control,      // has regions; becomes program steps
};

// Its operands and results are in memory, and no kernel computes it.
constexpr bool is_step(OpClass c) { return c == OpClass::Sort || c == OpClass::Control; }

struct InferArgs {
  std::span<const TensorType> operands;
  const Attrs& attrs;
  std::span<const Region> regions;

  const TensorType& operand(int i) const { return operands[static_cast<size_t>(i)]; }
  template <class T>
  const T& get() const {
    return std::get<T>(attrs);
  }
};

using InferFn = Result<Types> (*)(const InferArgs&);
using EvalFn = void (*)(Evaluation&);
using LowerFn = ScalarId (*)(Lowering&, const Node&, int result, const Index& at);
using VjpFn = void (*)(Vjp&);
using RangeFn = MaybeRange (*)(const Node&, std::span<const MaybeRange> operands);

// A function of a record, or none. `given` is known at compile time wherever the function lives:
// with UBSan, g++ 12 does not take the address of another file's function for a constant that is
// not null.
template <class Fn>
struct Hook {
  Fn call = nullptr;
  bool given = false;

  constexpr Hook(std::nullptr_t = nullptr) {}
  template <class F>
    requires std::convertible_to<F, Fn>
  constexpr Hook(F f) : call(f), given(true) {}
  constexpr operator Fn() const { return call; }
};

inline constexpr int kVariadic = -1;

struct OpDef {
  std::string_view name;
  int arity = 1;  // operands, or kVariadic
  OpClass cls = OpClass::Elementwise;
  bool commutative = false;
  bool same_bytes = false;  // View: the result is the operand's row-major bytes (reshape)
  size_t attrs = 0;         // index of the Attrs alternative: attrs_index<PermAttrs>
  int regions = 0;
  Hook<InferFn> infer = nullptr;
  Hook<EvalFn> eval = nullptr;
  Hook<LowerFn> lower = nullptr;  // null where is_step(cls) only
  Hook<VjpFn> vjp = nullptr;
  std::string_view no_gradient = {};  // why there is none, where vjp is null
  Hook<RangeFn> range = nullptr;      // of the first result; null where nothing is known
};

namespace detail {
template <class T, class V>
struct IndexOf;
template <class T, class... Ts>
struct IndexOf<T, std::variant<Ts...>> {
  static constexpr size_t value = [] {
    size_t i = 0;
    (void)((std::is_same_v<T, Ts> ? true : (++i, false)) || ...);
    return i;
  }();
};
}  // namespace detail

template <class T>
inline constexpr size_t attrs_index = detail::IndexOf<T, Attrs>::value;

// Every hook is there, or its absence is spelled; asserted at compile time beside each record.
constexpr bool complete(const OpDef& d) {
  return !d.name.empty() && d.infer.given && d.eval.given && d.lower.given == !is_step(d.cls) &&
         d.vjp.given != !d.no_gradient.empty();
}

// Shorthand of the tables: `constexpr` record exported under the name ops.def expects.
#define LATHE_OP(id, ...)                    \
  extern const OpDef id##_op;                \
  constexpr OpDef id##_record = __VA_ARGS__; \
  static_assert(complete(id##_record), #id); \
  const OpDef id##_op = id##_record

std::optional<OpId> find_op(std::string_view name);
inline constexpr int kOpCount = 0
#define OP(id) +1
#include "ir/ops/ops.def"
    ;

}  // namespace lathe
