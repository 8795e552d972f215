// Products by instructions that take several steps of the reduction at once: four bytes of each
// factor in a 32-bit lane (vpdpbusd), or two, widened to 16 bits (pmaddwd), or two bf16
// (vdpbf16ps). Sums of bytes are exact and wrap, so they have the bits of any other order; those of
// bf16 have the order of the instruction to begin with (passes/pair_steps.cpp).
#pragma once

#include <optional>

#include "backends/llvm/code_target.h"
#include "backends/llvm/llvm_headers.h"
#include "ir/byte_product.h"
#include "ir/pair_product.h"

namespace lathe::codegen {

struct DotForm {
  int group = 4;            // steps in a lane
  int bytes = 1;            // of an element: 2 is bf16
  int rest = 0;             // steps of the last group; 0: all
  ScalarId a = -1, b = -1;  // the loads
  bool a_signed = false, b_signed = false;
  int fill = 0;       // what stands where the guards of `a` fail
  bool pack = false;  // b is not interleaved
  int64_t step = 1;   // of b along the reduction, where it is not

  int group_bytes() const { return group * bytes; }
  // Whether a lane's elements are widened before they are multiplied.
  bool widens() const { return group_bytes() < 4; }

  // vpdpbusd multiplies unsigned by signed bytes. Of equal signs that of `a` is flipped, which adds
  // or takes 128 from each element; sums then start at what that makes of b's columns.
  bool flips() const { return group == 4 && a_signed == b_signed; }
};

// A kernel whose last reduction iv counts groups of steps and whose first part is the two loads of
// a product of bytes or bf16.
struct GroupedKernel {
  Kernel kernel;
  DotForm form;
};
std::optional<GroupedKernel> group_steps(const Kernel& k, SymbolId n, const CodeTarget& target);

// What emit_dot takes of `lanes` groups: a group is an integer of as many bytes.
llvm::Value* prepare_groups(llvm::IRBuilder<>& b, const DotForm& form, llvm::Value* groups,
                            bool is_signed);
// `a` splat over the lanes, with its sign flipped where the form says so.
llvm::Value* prepare_a(llvm::IRBuilder<>& b, const DotForm& form, llvm::Value* splat);
// What the flip of `a` adds to each of its elements.
llvm::Value* flipped_sign(llvm::IRBuilder<>& b, int lanes);
// acc + a * b of prepared groups.
llvm::Value* emit_dot(llvm::IRBuilder<>& b, const DotForm& form, const CodeTarget& target,
                      llvm::Value* acc, llvm::Value* a, llvm::Value* groups);

}  // namespace lathe::codegen
