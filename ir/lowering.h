// Lowering: builds one Kernel by pulling values.
//
// A fused group is lowered from its stores backwards: "what is the value of v at this index?" An
// op's `lower` hook answers for its result by pulling its operands at transformed indices and
// emitting scalars. A value that is materialised (not inlined in the group) is answered by a load.
// So a hook is written once and works in any fused position:
//   Elementwise   pull operands at `at`, emit the scalar.
//   View          pull the operand at the transformed index; `guarded` where parts are fill.
//   Gather        pull the indices, limit them, pull operand 0 (always materialised) at an index
//                 with an indirect axis.
//   Reduce, Contract   `reduction(extents)` opens the reduction space once per kernel and gives its
//                 indices; pull operands there; `accumulate` returns the finished sum.
//   Cumulative    as Reduce, but the reduction space is the axis itself: `cumulative_index(extent)`
//                 gives it; the driver has made `at[axis]` equal to it (or its reverse).
//   Scatter       `at` are the window indices (the shape of one update without the index axes, in
//                 order); open `reduction` over the index axes, pull, call `scatter`.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "ir/kernel.h"
#include "ir/op.h"

namespace lathe {

// The index along one axis: affine part plus data-dependent parts.
struct AxisIndex {
  IndexExpr expr;
  std::vector<IndirectTerm> indirect;

  AxisIndex() = default;
  AxisIndex(IndexExpr e) : expr(std::move(e)) {}
  friend bool operator==(const AxisIndex&, const AxisIndex&) = default;
};

struct Index {
  std::vector<AxisIndex> axes;

  Index() = default;
  explicit Index(std::vector<AxisIndex> a) : axes(std::move(a)) {}
  int rank() const { return static_cast<int>(axes.size()); }
  AxisIndex& operator[](int64_t i) { return axes[static_cast<size_t>(i)]; }
  const AxisIndex& operator[](int64_t i) const { return axes[static_cast<size_t>(i)]; }
  friend bool operator==(const Index&, const Index&) = default;
};

class Lowering {
 public:
  // `inlined`: node ids computed inside this kernel; everything else is loaded.
  // `par`: the parallel space.
  Lowering(const Graph& g, std::set<uint32_t> inlined, Dims par);

  // For the driver.
  Index parallel_index() const;  // one AxisIndex per dim of par
  ScalarId pull(Value v, const Index& at);
  void store(int operand, const Index& at, const Dims& dims, ScalarId value);
  int add_operand(Value v, OperandRole role);  // Out operands; In operands appear by pulling
  // Orders the body, drops what nothing uses, and gives the kernel with the values its operands
  // stand for, in operand order.
  Kernel finish(std::vector<Value>* operands);

  // For hooks.
  const Node& node(Value v) const { return graph_.node(v); }
  const TensorType& type(Value v) const { return graph_.type(v); }
  Dims dims(Value v) const { return type(v).shape.static_dims(); }
  bool materialised(Value v) const { return !inlined_.contains(v.node); }

  ScalarId emit(Scalar op, DType type, std::initializer_list<ScalarId> args);
  ScalarId constant(DType type, double value);  // exact for the integers doubles hold
  ScalarId constant_int(DType type, int64_t value);
  ScalarId index_value(const AxisIndex& index, DType type);

  // floor(numerator / divisor) and numerator mod divisor, as index expressions.
  IndexExpr floordiv(const IndexExpr& numerator, int64_t divisor);
  IndexExpr mod(const IndexExpr& numerator, int64_t divisor);
  // The smallest and largest value an affine expression takes over the iteration space.
  std::pair<int64_t, int64_t> range(const IndexExpr& e) const;

  // Row-major position in `dims`, and back: splits a linear index over dims (by exact division of
  // coefficients where ranges allow, else by derived symbols).
  AxisIndex linear(const Index& at, const Dims& dims) const;
  Index delinearize(const AxisIndex& linear, const Dims& dims);
  // Loads a materialised value at a linear offset.
  ScalarId load_linear(Value v, const AxisIndex& offset);

  // A guard 0 <= index < limit and index % multiple_of == 0; nullopt where it always holds.
  std::optional<GuardId> guard(const IndexExpr& index, int64_t limit, int64_t multiple_of = 1);
  // `body()` where all guards hold, `fill` elsewhere. Loads inside touch memory only there.
  ScalarId guarded(const std::vector<GuardId>& guards, DType type, double fill,
                   const std::function<ScalarId()>& body);
  ScalarId guard_test(const std::vector<GuardId>& guards);

  Index reduction(const Dims& extents);
  IndexExpr cumulative_index(int64_t extent, bool exclusive);
  // Accumulates in compute_type(type). `b` for Fma and FmaFlush only.
  ScalarId accumulate(Combine combine, DType type, ScalarId a, ScalarId b = -1);
  // Combines `value` into operand 0's storage at `at` (axes of the result, one may be indirect).
  void scatter(const Index& at, const Dims& dims, ScalarId value, Combine combine);

 private:
  struct Memo {
    Index at;
    std::vector<GuardId> guards;
    ScalarId id;
  };
  ScalarId load(Value v, const AxisIndex& offset);
  int operand_of(Value v);

  const Graph& graph_;
  std::set<uint32_t> inlined_;
  Kernel kernel_;
  std::vector<Value> operands_;
  std::map<Value, std::vector<Memo>> memo_;
  std::vector<GuardId> active_guards_;
  bool reduction_open_ = false;
};

}  // namespace lathe
