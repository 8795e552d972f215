// Transcendental scalars as machine scalars: one numeric truth for every backend. What each
// becomes, and its largest error, is in passes/math/.
#include <vector>

#include "passes/kernel_passes.h"
#include "passes/math/expansion.h"

namespace lathe {
namespace {

using Expansion = ScalarId (*)(math::Emitter&, ScalarId x, ScalarId y);

// By scalar; null for machine scalars.
constexpr Expansion kExpansions[] = {
#define SCALAR(id, text, operands) nullptr,
#define EXPANDED(id, text, operands) math::expand_##id,
#include "ir/scalar.def"
};

Expansion expansion(Scalar s) { return kExpansions[static_cast<size_t>(s)]; }

}  // namespace

void expand_math(Kernel& k) {
  std::vector<Instr> body;
  std::vector<ScalarId> map;
  int32_t pre = 0;
  const auto at = [&](ScalarId id) { return id < 0 ? id : map[static_cast<size_t>(id)]; };
  for (size_t i = 0; i < k.body.size(); ++i) {
    if (static_cast<int32_t>(i) == k.pre) pre = static_cast<int32_t>(body.size());
    Instr instr = k.body[i];
    for (ScalarId& a : instr.args) a = at(a);
    for (IndirectTerm& t : instr.access.indirect) t.value = at(t.value);
    if (info(instr.op).cls == ScalarClass::expanded) {
      math::Emitter e(body, instr.type);
      // f16 and bf16 values are held as f32; the cast gives them that type.
      for (ScalarId& a : instr.args)
        if (a >= 0 && body[static_cast<size_t>(a)].type != instr.type) a = e.cast(instr.type, a);
      map.push_back(expansion(instr.op)(e, instr.args[0], instr.args[1]));
    } else {
      body.push_back(std::move(instr));
      map.push_back(static_cast<ScalarId>(body.size()) - 1);
    }
  }
  if (k.pre == std::ssize(k.body)) pre = static_cast<int32_t>(body.size());
  k.body = std::move(body);
  k.pre = pre;
  for (Reduction& r : k.reductions) r.a = at(r.a), r.b = at(r.b);
  for (Store& s : k.stores) {
    s.value = at(s.value);
    for (IndirectTerm& t : s.access.indirect) t.value = at(t.value);
  }
}

}  // namespace lathe
