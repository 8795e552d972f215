#include "tests/support/byte_kernel.h"

namespace lathe {
namespace {

struct Body {
  Kernel& k;
  ScalarId add(Scalar op, DType t, ScalarId a = -1, ScalarId b = -1, ScalarId c = -1) {
    Instr in;
    in.op = op, in.type = t, in.args = {a, b, c};
    k.body.push_back(in);
    return static_cast<ScalarId>(k.body.size()) - 1;
  }
  ScalarId load(int32_t operand, IndexExpr offset, std::vector<GuardId> guards = {}) {
    const ScalarId id = add(Scalar::Load, k.operands[static_cast<size_t>(operand)].dtype);
    k.body.back().access = {operand, std::move(offset), {}};
    k.body.back().guards = std::move(guards);
    return id;
  }
  ScalarId number(double v) {
    const ScalarId id = add(Scalar::Const, DType::f32);
    k.body.back().number = v;
    return id;
  }
  ScalarId integer(DType t, int64_t v) {
    const ScalarId id = add(Scalar::Const, t);
    k.body.back().integer = v;
    return id;
  }
};

}  // namespace

Kernel byte_kernel(const ByteShape& s) {
  Kernel k;
  const int64_t groups = (s.k + s.group - 1) / s.group;
  k.operands = {{s.a, s.m * s.k, OperandRole::In},
                {s.b, s.taps * groups * s.n * s.group, OperandRole::In},
                {s.requantised ? DType::u8 : DType::i32, s.m * s.n, OperandRole::Out}};
  k.par = {s.m, s.n};
  k.core = Core::Reduce;
  if (s.taps > 1) k.red = {s.taps};
  k.red.push_back(s.k);
  const auto m = IndexExpr::symbol(0), n = IndexExpr::symbol(1);
  const auto tap = s.taps > 1 ? IndexExpr::symbol(2) : IndexExpr();
  const SymbolId last = k.red_symbol(static_cast<int>(k.red.size()) - 1);
  const auto r = IndexExpr::symbol(last);
  Body body{k};
  const IndexExpr row = m + tap + IndexExpr(-(s.taps / 2));
  ScalarId a = -1;
  if (s.taps > 1) {
    k.guards = {{row, s.m, 1}};
    a = body.load(0, row * s.k + r, {0});
    if (s.fill != 0) {
      const ScalarId inside = body.add(Scalar::GuardTest, DType::boolean);
      k.body.back().guards = {0};
      const ScalarId fill = body.integer(s.a, s.fill);
      a = body.add(Scalar::Select, s.a, inside, a, fill);
    }
  } else {
    a = body.load(0, row * s.k + r);
  }
  IndexExpr at;
  if (s.group > 1) {
    k.derived = {{r, s.group}};
    const auto q = IndexExpr::symbol(k.derived_symbol(0));
    at = tap * (groups * s.n * s.group) + q * (s.n * s.group - s.group) + r + n * s.group;
  } else {
    at = tap * (s.n * s.k) + (s.b_transposed ? n * s.k + r : r * s.n + n);
  }
  const ScalarId b = body.load(1, at);
  k.reductions = {{Combine::Fma, DType::i32, body.add(Scalar::Cast, DType::i32, a),
                   body.add(Scalar::Cast, DType::i32, b)}};
  k.pre = static_cast<int32_t>(k.body.size());
  ScalarId v = body.add(Scalar::Acc, DType::i32);
  if (s.requantised) {
    v = body.add(Scalar::Cast, DType::f32, v);
    v = body.add(Scalar::Mul, DType::f32, v, body.number(0x1p-10));
    v = body.add(Scalar::RoundEven, DType::f32, v);
    v = body.add(Scalar::Add, DType::f32, v, body.number(128));
    v = body.add(Scalar::Max, DType::f32, v, body.number(0));
    v = body.add(Scalar::Min, DType::f32, v, body.number(255));
    v = body.add(Scalar::Cast, DType::u8, v);
  }
  k.stores = {{{2, m * s.n + n, {}}, v, Combine::Assign}};
  return k;
}

}  // namespace lathe
