#include "passes/integer_products.h"

#include <algorithm>

#include "ir/base/convert.h"
#include "ir/base/gather.h"
#include "passes/match.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

using match::is, match::node, match::operand;

// Steps whose sum of products of numbers in [-255, 255] fits 32 bits.
constexpr int64_t kMostSteps = ((int64_t{1} << 31) - 1) / (255 * 255);
// Columns of a float product from which bytes are quicker; depthwise convolutions have fewer.
constexpr int64_t kLeastColumns = 4;

bool is_byte(DType t) { return t == DType::i8 || t == DType::u8; }

// A scale or zero: one for all, or one for each index of an axis.
struct Parameter {
  Expr values;  // rank 0, or 1
  int64_t axis = -1;
};

struct Quantised {
  Expr q;
  std::optional<Parameter> zero, scale;
};

std::optional<Parameter> parameter(const Expr& e) {
  if (e.rank() == 0) return Parameter{e, -1};
  if (!is(e, OpId::broadcast) || !e.shape().is_static()) return std::nullopt;
  const Expr from = operand(e);
  const Dims axes = match::attrs<BroadcastAttrs>(e).axes, dims = from.shape().static_dims();
  Parameter p;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    if (p.axis >= 0) return std::nullopt;
    p.axis = axes[i];
  }
  p.values = reshape(from, p.axis < 0 ? Shape{} : Shape{e.shape()[static_cast<int>(p.axis)]});
  return p;
}

// The contents of a literal of bytes, seen through casts and reshapes of few elements.
std::optional<Tensor> known(const Expr& e) {
  constexpr int64_t kFew = 1 << 16;
  if (is(e, OpId::constant))
    return is_byte(e.dtype()) ? std::optional(match::attrs<ConstantAttrs>(e).value) : std::nullopt;
  if (!is(e, OpId::cast) && !is(e, OpId::reshape)) return std::nullopt;
  const std::optional<Tensor> from = known(operand(e));
  if (!from || !e.shape().is_static()) return std::nullopt;
  if (is(e, OpId::reshape)) return from->reshaped(e.shape().static_dims());
  if (from->size() > kFew) return std::nullopt;
  return converted(*from, e.dtype());
}

Dims permuted(const Dims& dims, const Dims& perm) {
  Dims out;
  for (const int64_t axis : perm) out.push_back(dims[static_cast<size_t>(axis)]);
  return out;
}

// Of a literal the literal, so that its zero can be taken out of it.
Expr transposed(const Expr& x, const Dims& perm) {
  if (!is(x, OpId::constant)) return transpose(x, perm);
  const Tensor from = match::attrs<ConstantAttrs>(x).value;
  return constant(*x.graph, gather_strided(from, permuted(from.dims(), perm),
                                           permuted(row_major_strides(from.dims()), perm)));
}

Expr reshaped(const Expr& x, const Shape& shape) {
  if (!is(x, OpId::constant) || !shape.is_static()) return reshape(x, shape);
  return constant(*x.graph, match::attrs<ConstantAttrs>(x).value.reshaped(shape.static_dims()));
}

// Sums over `axes`, in ascending order, in i32; of a literal a literal.
Expr summed(const Expr& q, const Dims& axes) {
  if (!is(q, OpId::constant)) return reduce_sum(cast(q, DType::i32), axes);
  const Tensor from = match::attrs<ConstantAttrs>(q).value;
  Dims kept, strides(from.dims().size(), 0);
  for (size_t a = 0; a < from.dims().size(); ++a)
    if (std::ranges::count(axes, static_cast<int64_t>(a)) == 0) kept.push_back(from.dims()[a]);
  const Dims to = row_major_strides(kept);
  for (size_t a = 0, i = 0; a < strides.size(); ++a)
    if (std::ranges::count(axes, static_cast<int64_t>(a)) == 0) strides[a] = to[i++];
  Tensor out = Tensor::zeros(DType::i32, kept);
  auto* sums = out.mutable_data<int32_t>();
  Dims index(strides.size(), 0);
  int64_t at = 0;
  for (int64_t i = 0; i < from.size(); ++i) {
    sums[at] += static_cast<int32_t>(from.int_at(i));
    for (size_t a = index.size(); a-- > 0;) {
      at += strides[a];
      if (++index[a] < from.dims()[a]) break;
      at -= strides[a] * index[a];
      index[a] = 0;
    }
  }
  return constant(*q.graph, std::move(out));
}

bool has_padding(const WindowAttrs& a) { return !match::is_zero(a.low) || !match::is_zero(a.high); }

class Product {
 public:
  explicit Product(const Expr& dot) : dot_(dot), attrs_(match::attrs<DotAttrs>(dot)) {}

  // `real`: a product of floats, instead of integers.
  std::optional<Expr> rewrite(bool real);

 private:
  static std::optional<Quantised> peel(const Expr& e);
  static std::optional<Quantised> peel_view(const Expr& e);
  static void recentre(Quantised& x);
  bool free_axis(const Parameter& p, bool left, int64_t* result_axis) const;
  // Of an operand over the contracting axes, and where its axes are in the result.
  struct Sums {
    Expr values;
    Dims axes;
  };
  Sums sums(const Expr& q, bool left) const;
  Expr scaled(const Expr& sum, const Quantised& x, bool left) const;

  Expr dot_;
  DotAttrs attrs_;
};

std::optional<Quantised> Product::peel_view(const Expr& e) {
  std::optional<Quantised> x = peel(operand(e));
  if (!x) return std::nullopt;
  for (std::optional<Parameter>* p : {&x->zero, &x->scale}) {
    if (!*p || (*p)->axis < 0) continue;
    if (!is(e, OpId::transpose)) return std::nullopt;
    const Dims perm = match::attrs<PermAttrs>(e).perm;
    (*p)->axis = std::ranges::find(perm, (*p)->axis) - perm.begin();
  }
  if (is(e, OpId::transpose)) {
    x->q = transposed(x->q, match::attrs<PermAttrs>(e).perm);
  } else if (is(e, OpId::reshape)) {
    x->q = reshaped(x->q, e.shape());
  } else {
    WindowAttrs a = match::attrs<WindowAttrs>(e);
    if (a.fill != 0) return std::nullopt;
    if (x->zero && has_padding(a)) {
      const std::optional<Tensor> zero = known(x->zero->values);
      if (!zero) return std::nullopt;
      a.fill = zero->at(0);
    }
    x->q = windows(x->q, a);
  }
  return x;
}

std::optional<Quantised> Product::peel(const Expr& e) {
  if (is(e, OpId::transpose) || is(e, OpId::reshape) || is(e, OpId::windows)) return peel_view(e);
  if (is_byte(e.dtype())) return Quantised{e, {}, {}};
  if (is(e, OpId::cast))
    return is_byte(operand(e).dtype()) ? std::optional(Quantised{operand(e), {}, {}})
                                       : std::nullopt;
  if (is(e, OpId::sub)) {
    std::optional<Quantised> x = peel(operand(e, 0));
    if (!x || x->zero || x->scale) return std::nullopt;
    // A zero is a byte too, so that the difference is a number of every type that it is taken in.
    Expr zero = operand(e, 1);
    while (is(zero, OpId::broadcast) || is(zero, OpId::reshape)) zero = operand(zero);
    const bool byte = is(zero, OpId::cast) && is_byte(operand(zero).dtype());
    if (!byte || is_byte(e.dtype())) return std::nullopt;
    x->zero = parameter(operand(e, 1));
    return x->zero ? x : std::nullopt;
  }
  if (!is(e, OpId::mul) || e.dtype() != DType::f32) return std::nullopt;
  for (const size_t i : {0, 1}) {
    std::optional<Quantised> x = peel(operand(e, i));
    if (!x || x->scale) continue;
    x->scale = parameter(operand(e, 1 - i));
    if (x->scale) return x;
  }
  return std::nullopt;
}

// Takes the zero out of a literal where i8 holds what is left; then x has none.
void Product::recentre(Quantised& x) {
  if (!x.zero) return;
  const std::optional<Tensor> zero = known(x.zero->values);
  if (!zero) return;
  bool none = true;
  for (int64_t i = 0; i < zero->size(); ++i) none = none && zero->at(i) == 0;
  if (none) {
    x.zero.reset();
    return;
  }
  if (!is(x.q, OpId::constant)) return;
  const Tensor from = match::attrs<ConstantAttrs>(x.q).value;
  Tensor to = Tensor::empty(DType::i8, from.dims());
  int64_t inner = 1, extent = 1;
  if (x.zero->axis >= 0) {
    extent = zero->size();
    inner = row_major_strides(from.dims())[static_cast<size_t>(x.zero->axis)];
  }
  for (int64_t i = 0; i < from.size(); ++i) {
    const int64_t v = from.int_at(i) - static_cast<int64_t>(zero->at(i / inner % extent));
    if (v < -128 || v > 127) return;
    to.set_int(i, v);
  }
  x.q = constant(*x.q.graph, std::move(to));
  x.zero.reset();
}

// Where a parameter's axis is in the result: nothing where it is summed over.
bool Product::free_axis(const Parameter& p, bool left, int64_t* result_axis) const {
  *result_axis = -1;
  if (p.axis < 0) return true;
  const auto in = [](const Dims& axes, int64_t axis) { return std::ranges::count(axes, axis) > 0; };
  const auto frees = [&](const Dims& batch, const Dims& contract, int64_t end) {
    int64_t n = 0;
    for (int64_t a = 0; a < end; ++a) n += !in(batch, a) && !in(contract, a);
    return n;
  };
  const Dims &batch = left ? attrs_.lhs_batch : attrs_.rhs_batch,
             &contract = left ? attrs_.lhs_contract : attrs_.rhs_contract;
  if (in(batch, p.axis) || in(contract, p.axis)) return false;
  *result_axis = std::ssize(attrs_.lhs_batch) + frees(batch, contract, p.axis);
  if (!left) *result_axis += frees(attrs_.lhs_batch, attrs_.lhs_contract, operand(dot_, 0).rank());
  return true;
}

Product::Sums Product::sums(const Expr& q, bool left) const {
  const Dims &batch = left ? attrs_.lhs_batch : attrs_.rhs_batch,
             &contract = left ? attrs_.lhs_contract : attrs_.rhs_contract;
  const auto batches = std::ssize(batch);
  Dims axes = contract, perm, rest;
  std::ranges::sort(axes);
  for (int64_t a = 0; a < q.rank(); ++a)
    if (std::ranges::count(axes, a) == 0) rest.push_back(a);
  const auto kept = [&](int64_t axis) { return std::ranges::find(rest, axis) - rest.begin(); };
  for (const int64_t a : batch) perm.push_back(kept(a));
  for (const int64_t a : rest)
    if (std::ranges::count(batch, a) == 0) perm.push_back(kept(a));
  Expr sum = summed(q, axes);
  if (!match::is_iota(perm)) sum = transpose(sum, perm);
  // Batch, then its own free axes after or before the other operand's.
  const auto own = static_cast<int64_t>(perm.size()) - batches;
  const int64_t others = dot_.rank() - batches - own;
  Sums out{sum, {}};
  for (int64_t a = 0; a < batches; ++a) out.axes.push_back(a);
  for (int64_t a = 0; a < own; ++a) out.axes.push_back(batches + a + (left ? 0 : others));
  return out;
}

Expr Product::scaled(const Expr& sum, const Quantised& x, bool left) const {
  if (!x.scale) return sum;
  int64_t axis = -1;
  free_axis(*x.scale, left, &axis);
  return sum * broadcast(x.scale->values, dot_.shape(), axis < 0 ? Dims{} : Dims{axis});
}

std::optional<Expr> Product::rewrite(bool real) {
  if (dot_.dtype() != (real ? DType::f32 : DType::i32)) return std::nullopt;
  const Expr left = operand(dot_, 0), right = operand(dot_, 1);
  if (is_byte(left.dtype()) && is_byte(right.dtype())) return std::nullopt;
  std::optional<Quantised> a = peel(left), b = a ? peel(right) : std::nullopt;
  if (!b || (!real && (a->scale || b->scale))) return std::nullopt;
  int64_t axis = -1;
  if ((a->scale && !free_axis(*a->scale, true, &axis)) ||
      (b->scale && !free_axis(*b->scale, false, &axis)))
    return std::nullopt;
  if (!left.shape().is_static() || !right.shape().is_static()) return std::nullopt;
  int64_t steps = 1, columns = right.shape().element_count();
  for (const int64_t i : attrs_.rhs_contract) steps *= right.shape()[static_cast<int>(i)].value();
  for (const int64_t i : attrs_.rhs_batch)
    columns /= std::max<int64_t>(right.shape()[static_cast<int>(i)].value(), 1);
  columns /= std::max<int64_t>(steps, 1);
  if (real && (steps > kMostSteps || columns < kLeastColumns)) return std::nullopt;
  recentre(*a), recentre(*b);
  if ((a->zero && a->zero->axis >= 0) || (b->zero && b->zero->axis >= 0)) return std::nullopt;

  DotAttrs bytes = attrs_;
  bytes.dtype = DType::i32;
  Expr sum = dot_general(a->q, b->q, bytes);
  const auto times = [](const Expr& zero, const Expr& x) {
    return x * broadcast(cast(zero, DType::i32), x.shape(), {});
  };
  const auto take = [&](const Sums& s) { sum = sum - broadcast(s.values, dot_.shape(), s.axes); };
  if (a->zero) {
    Sums columns = sums(b->q, false);
    columns.values = times(a->zero->values, columns.values);
    take(columns);
  }
  if (b->zero) {
    Sums rows = sums(a->q, true);
    if (a->zero)
      rows.values =
          rows.values - times(a->zero->values, full_like(rows.values, static_cast<double>(steps)));
    rows.values = times(b->zero->values, rows.values);
    take(rows);
  }
  if (!real) return sum;
  return scaled(scaled(cast(sum, DType::f32), *a, true), *b, false);
}

Graph rewrite_here(const Graph& g, bool real) {
  const auto visit = [real](const Graph& source, uint32_t id, const std::vector<Expr>& operands,
                            Graph& target) -> std::optional<std::vector<Expr>> {
    const Node& n = source.nodes()[id];
    if (n.op != OpId::dot_general) return std::nullopt;
    const Expr copy{&target, target.add(n.op, {operands[0].value, operands[1].value}, n.attrs)};
    return std::vector<Expr>{Product(copy).rewrite(real).value_or(copy)};
  };
  return Rebuilder::run(g, visit);
}

Graph rewrite_all(const Graph& g, bool real) {
  return map_regions(rewrite_here(g, real), [&](const Graph& r) { return rewrite_here(r, real); });
}

}  // namespace

Graph integer_products(const Graph& g) { return rewrite_all(g, false); }
Graph quantised_float_products(const Graph& g) { return rewrite_all(g, true); }

}  // namespace lathe
