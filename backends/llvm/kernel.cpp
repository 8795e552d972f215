#include "backends/llvm/kernel.h"

#include <algorithm>

#include "backends/llvm/machine.h"

namespace lathe::codegen {

llvm::Function* make_function(llvm::Module& module, llvm::FunctionType* type,
                              const std::string& symbol, bool internal, const CodeTarget& target) {
  auto* f = llvm::Function::Create(
      type, internal ? llvm::Function::InternalLinkage : llvm::Function::ExternalLinkage, symbol,
      module);
  f->addFnAttr(llvm::Attribute::NoUnwind);
  f->addFnAttr("target-cpu", base_cpu(target));
  f->addFnAttr("target-features", feature_string(target));
  // Without it some tunings split 512-bit code into halves.
  f->addFnAttr("prefer-vector-width", std::to_string(8 * target.vector_bytes()));
  return f;
}

int vector_lanes(const Kernel& k, const CodeTarget& target) {
  int64_t narrowest = 8;
  for (const Instr& in : k.body) {
    if (in.op == Scalar::Const || in.type == DType::boolean) continue;
    narrowest = std::min(narrowest, std::max<int64_t>(4, byte_size(in.type)));
  }
  return target.vector_bytes() / static_cast<int>(narrowest);
}

namespace {

Result<std::string> accept(const Kernel& k, const KernelSchedule& s, const CodeTarget& target) {
  if (target.isa == Isa::scalar) return failure("the LLVM backend needs SSE4.2");
  if (k.par.size() + k.red.size() > static_cast<size_t>(kMaxIvs))
    return failure("more than {} ivs", kMaxIvs);
  if (k.order == Order::Lanes && (k.red.empty() || k.core != Core::Reduce))
    return failure("order lanes outside of a reduction");
  if (s.parallel >= static_cast<int>(k.par.size()))
    return failure("parallel iv {} of {}", s.parallel, k.par.size());
  return std::string();
}

}  // namespace

Result<std::string> emit_kernel(llvm::Module& module, const Kernel& k, const KernelSchedule& s,
                                const CodeTarget& target, const std::string& symbol) {
  if (auto ok = accept(k, s, target); !ok) return ok;
  llvm::LLVMContext& context = module.getContext();
  auto* pointer = llvm::PointerType::getUnqual(context);
  auto* i64 = llvm::Type::getInt64Ty(context);
  auto* type =
      llvm::FunctionType::get(llvm::Type::getVoidTy(context), {pointer, i64, i64, pointer}, false);
  llvm::Function* f = make_function(module, type, symbol, false, target);
  for (int64_t e : k.par)
    if (e == 0) {
      llvm::IRBuilder<>(llvm::BasicBlock::Create(context, "entry", f)).CreateRetVoid();
      return std::string("empty");
    }
  const Analysis analysis(k);
  if (std::string how = emit_contraction(f, analysis, s, target); !how.empty()) return how;
  return emit_nest(f, analysis, s, target);
}

}  // namespace lathe::codegen
