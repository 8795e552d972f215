// Machine scalars (ir/scalar.h) as LLVM instructions, on single values and on vectors alike.
//
// Representation of a value of type t: bool as i1, f16 and bf16 as float (already rounded), the
// others as themselves. In memory bool is i8, f16 and bf16 are i16.
#pragma once

#include "backends/llvm/code_target.h"
#include "backends/llvm/llvm_headers.h"
#include "ir/kernel.h"

namespace lathe::codegen {

class ScalarOps {
 public:
  ScalarOps(llvm::IRBuilder<>& builder, llvm::Module& module, const CodeTarget& target)
      : b_(builder), module_(module), target_(target) {}

  // The LLVM type of a value, of `lanes` of them (1: no vector), and of an element in memory.
  llvm::Type* type(DType t, int lanes = 1) const;
  llvm::Type* memory_type(DType t, int lanes = 1) const;

  llvm::Value* constant(DType t, double number, int64_t integer) const;

  // An operation with arguments. `arg` is the type of args[0] (of args[1] for Select).
  llvm::Value* apply(Scalar op, DType result, DType arg, llvm::Value* a, llvm::Value* b,
                     llvm::Value* c);
  llvm::Value* cast(llvm::Value* v, DType from, DType to);

  // acc = combine(acc, a) or fma(a, b, acc); identity as a scalar.
  llvm::Value* combine(Combine how, DType t, llvm::Value* acc, llvm::Value* a, llvm::Value* b);
  llvm::Value* identity(Combine how, DType t) const;

  llvm::Value* from_memory(llvm::Value* v, DType t);
  llvm::Value* to_memory(llvm::Value* v, DType t);

  llvm::Value* splat(llvm::Value* v, int lanes);

 private:
  llvm::Value* float_binary(Scalar op, llvm::Value* a, llvm::Value* b);
  llvm::Value* integer_binary(Scalar op, DType t, llvm::Value* a, llvm::Value* b);
  llvm::Value* unary(Scalar op, DType t, llvm::Value* a);
  llvm::Value* compare(Scalar op, DType t, llvm::Value* a, llvm::Value* b);
  llvm::Value* divide(Scalar op, DType t, llvm::Value* a, llvm::Value* b);
  llvm::Value* shift(Scalar op, DType t, llvm::Value* a, llvm::Value* count);
  llvm::Value* fma(llvm::Value* a, llvm::Value* b, llvm::Value* c);
  llvm::Value* fma_flush(llvm::Value* a, llvm::Value* b, llvm::Value* c);
  llvm::Value* scale2(llvm::Value* x, llvm::Value* n);
  llvm::Value* scalef(llvm::Value* x, llvm::Value* n);
  llvm::Value* remainder(llvm::Value* a, llvm::Value* b);
  llvm::Function* remainder_function(llvm::Type* t);
  llvm::Value* float_to_integer(llvm::Value* v, DType from, DType to);
  llvm::Value* half_to_float(llvm::Value* bits);
  llvm::Value* float_to_half(llvm::Value* v);
  llvm::Value* float_to_bf16(llvm::Value* v);
  llvm::Value* round_to_storage(llvm::Value* v, DType t);
  // An integer constant with the shape (scalar or vector) of `like`, whose elements it matches.
  llvm::Value* same(llvm::Value* like, uint64_t v) const;
  llvm::Type* shaped(llvm::Value* like, llvm::Type* element) const;

  llvm::IRBuilder<>& b_;
  llvm::Module& module_;
  const CodeTarget& target_;
};

// Lanes of a value: 1 for scalars.
int lanes_of(const llvm::Value* v);

}  // namespace lathe::codegen
