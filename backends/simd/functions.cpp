#include "backends/simd/functions.h"

#include <span>

#include "ir/scalar_eval.h"

namespace lathe::simd {
namespace {

// Arguments count from the operands, of which there are two: 0 and 1.
struct PatternInstr {
  Scalar op;
  DType type;
  ScalarId args[3];
  uint64_t constant;
};
struct Pattern {
  std::span<const PatternInstr> instructions;
  DType type;  // of the operands
};

#include "backends/simd/function_patterns.inl"

// Whether body[first ..) is the pattern, of which operands.
bool match(const Pattern& pattern, const std::vector<Instr>& body, size_t first,
           ScalarId (&operands)[2]) {
  constexpr ScalarId kOperands = 2;
  for (size_t i = 0; i < pattern.instructions.size(); ++i) {
    const PatternInstr& p = pattern.instructions[i];
    const Instr& in = body[first + i];
    if (in.op != p.op || in.type != p.type) return false;
    if (in.op == Scalar::Const &&
        scalar::constant_bits(in.type, in.number, in.integer) != p.constant)
      return false;
    for (size_t a = 0; a < 3; ++a) {
      const ScalarId arg = in.args[a], wanted = p.args[a];
      if (wanted >= 0 && wanted < kOperands) {
        ScalarId& operand = operands[wanted];
        if (operand < 0) operand = arg;
        if (operand != arg) return false;
      } else if (arg != (wanted < 0 ? -1 : static_cast<ScalarId>(first) + wanted - kOperands)) {
        return false;
      }
    }
  }
  for (const ScalarId id : operands)
    if (id >= static_cast<ScalarId>(first) ||
        (id >= 0 && compute_type(body[static_cast<size_t>(id)].type) != pattern.type))
      return false;
  return operands[0] >= 0;
}

}  // namespace

std::vector<FunctionUse> find_functions(const std::vector<Instr>& body) {
  std::vector<FunctionUse> out(body.size());
  std::vector<size_t> length(body.size(), 0);
  for (size_t f = 0; f < std::size(kPatterns); ++f) {
    const size_t count = kPatterns[f].instructions.size();
    for (size_t first = 0; first + count <= body.size(); ++first) {
      const size_t last = first + count - 1;
      if (count <= length[last]) continue;  // of two that end here the longer does more
      FunctionUse use{static_cast<int>(f), {-1, -1}};
      if (match(kPatterns[f], body, first, use.operands)) out[last] = use, length[last] = count;
    }
  }
  return out;
}

}  // namespace lathe::simd
