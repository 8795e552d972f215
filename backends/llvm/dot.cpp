#include "backends/llvm/dot.h"

#include <algorithm>

namespace lathe::codegen {
namespace {

using llvm::Value;

constexpr uint32_t kSigns = 0x80808080;

// Steps that the target's instruction takes.
int group_of(const CodeTarget& target) {
  return target.is_x86() && target.vnni && target.instructions == Isa::avx512 ? 4 : 2;
}

// Offsets of the last reduction iv in groups instead of steps.
void rescale(IndexExpr& e, SymbolId last, int64_t coefficient) {
  for (IndexTerm& t : e.terms)
    if (t.symbol == last) t.coefficient = coefficient;
}

unsigned lanes_in(const Value* v) {
  return llvm::cast<llvm::FixedVectorType>(v->getType())->getNumElements();
}

Value* elements(llvm::IRBuilder<>& b, Value* v, unsigned first, unsigned count, int step = 1) {
  llvm::SmallVector<int, 64> at;
  for (unsigned i = 0; i < count; ++i)
    at.push_back(static_cast<int>(first) + static_cast<int>(i) * step);
  return b.CreateShuffleVector(v, at);
}

// pmaddwd of as many lanes as the instructions have, by halves where the code is shaped for more.
Value* multiply_pairs(llvm::IRBuilder<>& b, const CodeTarget& target, Value* x, Value* y) {
  const unsigned n = lanes_in(x);
  const unsigned most = target.instructions == Isa::avx512 ? 32
                        : target.instructions == Isa::avx2 ? 16
                                                           : 8;
  if (n > most) {
    Value* low = multiply_pairs(b, target, elements(b, x, 0, n / 2), elements(b, y, 0, n / 2));
    Value* high =
        multiply_pairs(b, target, elements(b, x, n / 2, n / 2), elements(b, y, n / 2, n / 2));
    llvm::SmallVector<int, 64> all;
    for (unsigned i = 0; i < n / 2; ++i) all.push_back(static_cast<int>(i));
    return b.CreateShuffleVector(low, high, all);
  }
  const llvm::Intrinsic::ID id = n == 32   ? llvm::Intrinsic::x86_avx512_pmaddw_d_512
                                 : n == 16 ? llvm::Intrinsic::x86_avx2_pmadd_wd
                                           : llvm::Intrinsic::x86_sse2_pmadd_wd;
  return b.CreateIntrinsic(id, {}, {x, y});
}

Value* multiply_pairs_generic(llvm::IRBuilder<>& b, Value* x, Value* y) {
  const unsigned n = lanes_in(x) / 2;
  auto* wide = llvm::FixedVectorType::get(b.getInt32Ty(), n);
  const auto product = [&](unsigned first) {
    return b.CreateMul(b.CreateSExt(elements(b, x, first, n, 2), wide),
                       b.CreateSExt(elements(b, y, first, n, 2), wide));
  };
  return b.CreateAdd(product(0), product(1));
}

std::optional<GroupedKernel> group_bytes(const Kernel& k, SymbolId n, const CodeTarget& target) {
  const std::optional<ByteProduct> product = byte_product(k, n);
  const int group = group_of(target);
  if (!product || (product->group != 1 && product->group != group)) return std::nullopt;
  GroupedKernel out{k, {}};
  Kernel& to = out.kernel;
  DotForm& form = out.form;
  const SymbolId last = k.red_symbol(static_cast<int>(k.red.size()) - 1);
  form.group = group;
  form.rest = static_cast<int>(k.red.back() % group);
  form.a = 0, form.b = 1;
  form.a_signed = product->a.is_signed, form.b_signed = product->b.is_signed;
  form.fill = product->a.fill;
  form.pack = product->group == 1;
  to.red.back() = (k.red.back() + group - 1) / group;

  Instr a = k.body[static_cast<size_t>(product->a.load)];
  Instr b = k.body[static_cast<size_t>(product->b.load)];
  rescale(a.access.offset, last, group);
  form.step = b.access.offset.coefficient(last);
  if (form.pack) {
    rescale(b.access.offset, last, form.step * group);
  } else {
    std::erase_if(b.access.offset.terms,
                  [&](const IndexTerm& t) { return t.symbol == product->quotient; });
    rescale(b.access.offset, last, product->pitch);
    to.derived[static_cast<size_t>(product->quotient - k.derived_symbol(0))] = {};
  }
  to.body = {std::move(a), std::move(b)};
  to.body.insert(to.body.end(), k.body.begin() + k.pre, k.body.end());
  to.pre = 2;
  to.reductions[0].a = form.a, to.reductions[0].b = form.b;
  const auto renumber = [&](ScalarId& id) {
    if (id >= 0) id += to.pre - k.pre;
  };
  for (size_t i = 2; i < to.body.size(); ++i) {
    for (ScalarId& id : to.body[i].args) renumber(id);
    for (IndirectTerm& t : to.body[i].access.indirect) renumber(t.value);
  }
  for (Store& s : to.stores) {
    renumber(s.value);
    for (IndirectTerm& t : s.access.indirect) renumber(t.value);
  }
  return out;
}

template <class F>
void each_expression(Kernel& k, F&& visit) {
  for (DerivedSymbol& d : k.derived) visit(d.numerator);
  for (Guard& g : k.guards) visit(g.index);
  for (Instr& in : k.body) visit(in.index), visit(in.access.offset);
  for (Store& s : k.stores) visit(s.access.offset);
}

// The pairs are counted already; loads begin at the first step of each.
std::optional<GroupedKernel> group_pairs(const Kernel& k, SymbolId n, const CodeTarget& target) {
  if (!target.is_x86() || !target.bf16 || target.instructions != Isa::avx512) return std::nullopt;
  const std::optional<PairProduct> product = pair_product(k, n);
  if (!product) return std::nullopt;
  GroupedKernel out{k, {}};
  Kernel& to = out.kernel;
  DotForm& form = out.form;
  form.group = 2, form.bytes = 2;
  form.rest = static_cast<int>(product->steps % 2);
  form.a = product->a, form.b = product->b;
  form.pack = !product->interleaved;
  form.step = product->step;
  const SymbolId second = k.red_symbol(static_cast<int>(k.red.size()) - 1);
  const auto depends = [&](GuardId g) {
    return k.guards[static_cast<size_t>(g)].index.coefficient(second) != 0;
  };
  for (const ScalarId load : {form.a, form.b})
    std::erase_if(to.body[static_cast<size_t>(load)].guards, depends);
  each_expression(to, [&](IndexExpr& e) {
    e.constant += e.coefficient(second);
    std::erase_if(e.terms, [&](const IndexTerm& t) { return t.symbol == second; });
    for (IndexTerm& t : e.terms) t.symbol -= t.symbol > second;
  });
  to.red.pop_back();
  return out;
}

}  // namespace

std::optional<GroupedKernel> group_steps(const Kernel& k, SymbolId n, const CodeTarget& target) {
  std::optional<GroupedKernel> out = group_bytes(k, n, target);
  return out ? out : group_pairs(k, n, target);
}

Value* prepare_groups(llvm::IRBuilder<>& b, const DotForm& form, Value* groups, bool is_signed) {
  if (!form.widens()) return groups;
  const unsigned bytes = 2 * lanes_in(groups);
  Value* v = b.CreateBitCast(groups, llvm::FixedVectorType::get(b.getInt8Ty(), bytes));
  auto* wide = llvm::FixedVectorType::get(b.getInt16Ty(), bytes);
  return is_signed ? b.CreateSExt(v, wide) : b.CreateZExt(v, wide);
}

Value* prepare_a(llvm::IRBuilder<>& b, const DotForm& form, Value* splat) {
  if (!form.flips()) return prepare_groups(b, form, splat, form.a_signed);
  return b.CreateXor(splat, llvm::ConstantInt::get(splat->getType(), kSigns));
}

Value* flipped_sign(llvm::IRBuilder<>& b, int lanes) {
  return b.CreateVectorSplat(static_cast<unsigned>(lanes), b.getInt32(kSigns));
}

Value* emit_dot(llvm::IRBuilder<>& b, const DotForm& form, const CodeTarget& target, Value* acc,
                Value* a, Value* groups) {
  if (form.widens())
    return b.CreateAdd(acc, target.is_x86() ? multiply_pairs(b, target, a, groups)
                                            : multiply_pairs_generic(b, a, groups));
  const unsigned n = lanes_in(acc);
  if (form.bytes == 2) {
    auto* pairs = llvm::FixedVectorType::get(b.getBFloatTy(), 2 * n);
    const llvm::Intrinsic::ID id = n == 16  ? llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512
                                   : n == 8 ? llvm::Intrinsic::x86_avx512bf16_dpbf16ps_256
                                            : llvm::Intrinsic::x86_avx512bf16_dpbf16ps_128;
    return b.CreateIntrinsic(id, {},
                             {acc, b.CreateBitCast(groups, pairs), b.CreateBitCast(a, pairs)});
  }
  const llvm::Intrinsic::ID id = n == 16  ? llvm::Intrinsic::x86_avx512_vpdpbusd_512
                                 : n == 8 ? llvm::Intrinsic::x86_avx512_vpdpbusd_256
                                          : llvm::Intrinsic::x86_avx512_vpdpbusd_128;
  if (form.a_signed != form.flips()) std::swap(a, groups);
  return b.CreateIntrinsic(id, {}, {acc, a, groups});
}

}  // namespace lathe::codegen
