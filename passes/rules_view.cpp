// Rules on views.
#include <algorithm>

#include "passes/match.h"
#include "passes/rules.h"

namespace lathe {
namespace {

using namespace match;  // NOLINT: the rules below are written in its terms
using Rewrite = std::optional<Expr>;

Rewrite transpose_identity(const Site& s) {
  if (s.op != OpId::transpose || !is_iota(s.get<PermAttrs>().perm)) return std::nullopt;
  return s.in[0];
}

Rewrite transpose_transpose(const Site& s) {
  if (s.op != OpId::transpose || !is(s.in[0], OpId::transpose)) return std::nullopt;
  const Dims inner = attrs<PermAttrs>(s.in[0]).perm;
  Dims perm;
  for (int64_t axis : s.get<PermAttrs>().perm) perm.push_back(inner[static_cast<size_t>(axis)]);
  return transpose(operand(s.in[0]), std::move(perm));
}

Rewrite reshape_identity(const Site& s) {
  if (s.op != OpId::reshape || !(s.in[0].shape() == s.type.shape)) return std::nullopt;
  return s.in[0];
}

Rewrite reshape_reshape(const Site& s) {
  if (s.op != OpId::reshape || !is(s.in[0], OpId::reshape)) return std::nullopt;
  return reshape(operand(s.in[0]), s.type.shape);
}

Rewrite broadcast_identity(const Site& s) {
  if (s.op != OpId::broadcast || !(s.in[0].shape() == s.type.shape)) return std::nullopt;
  return s.in[0];
}

Rewrite broadcast_broadcast(const Site& s) {
  if (s.op != OpId::broadcast || !is(s.in[0], OpId::broadcast)) return std::nullopt;
  const Dims& outer = s.get<BroadcastAttrs>().axes;
  Dims axes;
  for (int64_t axis : attrs<BroadcastAttrs>(s.in[0]).axes)
    axes.push_back(outer[static_cast<size_t>(axis)]);
  return broadcast(operand(s.in[0]), s.type.shape, std::move(axes));
}

Rewrite slice_full(const Site& s) {
  if (s.op != OpId::slice || !is_zero(s.get<SliceAttrs>().start) ||
      !(s.in[0].shape() == s.type.shape))
    return std::nullopt;
  // An axis of one element has the same start whatever its stride.
  const auto& a = s.get<SliceAttrs>();
  for (size_t i = 0; i < a.stride.size(); ++i)
    if (a.stride[i] != 1 && !(a.size[i] == Dim(1))) return std::nullopt;
  return s.in[0];
}

// Element j of the outer one is start1 + (start2 + j*stride2)*stride1 of x.
Rewrite slice_slice(const Site& s) {
  if (s.op != OpId::slice || !is(s.in[0], OpId::slice)) return std::nullopt;
  const auto inner = attrs<SliceAttrs>(s.in[0]);
  const auto& outer = s.get<SliceAttrs>();
  std::vector<Dim> start;
  Dims stride;
  for (size_t i = 0; i < inner.start.size(); ++i) {
    int64_t step = 0;
    if (outer.size[i] == Dim(0) || __builtin_mul_overflow(inner.stride[i], outer.stride[i], &step))
      return std::nullopt;
    start.push_back(inner.start[i] + outer.start[i] * inner.stride[i]);
    stride.push_back(step);
  }
  return slice(operand(s.in[0]), std::move(start), outer.size, std::move(stride));
}

Rewrite pad_nothing(const Site& s) {
  if (s.op != OpId::pad) return std::nullopt;
  const auto& a = s.get<PadAttrs>();
  if (!is_zero(a.low) || !is_zero(a.high) || !is_zero(a.interior)) return std::nullopt;
  return s.in[0];
}

Rewrite concat_one(const Site& s) {
  if (s.op != OpId::concat || s.in.size() != 1) return std::nullopt;
  return s.in[0];
}

Rewrite concat_empty(const Site& s) {
  if (s.op != OpId::concat) return std::nullopt;
  const int64_t axis = s.get<AxisAttrs>().axis;
  std::vector<Expr> parts;
  std::ranges::copy_if(s.in, std::back_inserter(parts), [&](const Expr& e) {
    return !(e.shape()[static_cast<int>(axis)] == Dim(0));
  });
  if (parts.size() == s.in.size() || parts.empty()) return std::nullopt;
  return concat(parts, axis);
}

// view(splat a) = splat a, in the view's shape; a pad must fill with `a` itself.
Rewrite view_of_splat(const Site& s) {
  if (s.op != OpId::transpose && s.op != OpId::reshape && s.op != OpId::slice && s.op != OpId::pad)
    return std::nullopt;
  const std::optional<Expr> scalar = splat(s.in[0]);
  if (!scalar || (s.op == OpId::pad && scalar->value != s.in[1].value)) return std::nullopt;
  return broadcast(*scalar, s.type.shape, {});
}

// A pad with zeros along one axis, as the gradient of a slice is.
struct Band {
  Expr inside, fill;
  int64_t low = 0, high = 0;
};

std::optional<Band> band(const Expr& e, int64_t& axis) {
  if (!is(e, OpId::pad) || number(operand(e, 1)) != 0.0) return std::nullopt;
  const auto a = attrs<PadAttrs>(e);
  if (!is_zero(a.interior)) return std::nullopt;
  Band out{operand(e), operand(e, 1)};
  for (size_t i = 0; i < a.low.size(); ++i) {
    if (a.low[i] == Dim(0) && a.high[i] == Dim(0)) continue;
    if (axis < 0) axis = static_cast<int64_t>(i);
    if (axis != static_cast<int64_t>(i) || !a.low[i].is_static() || !a.high[i].is_static() ||
        !out.inside.shape()[static_cast<int>(i)].is_static())
      return std::nullopt;
    out.low = a.low[i].value();
    out.high = a.high[i].value();
  }
  return axis >= 0 && out.low >= 0 && out.high >= 0 ? std::optional(out) : std::nullopt;
}

// The bands that a tree of additions adds up; false if something else is among them.
bool collect_bands(const Expr& e, int64_t& axis, std::vector<Band>& bands) {
  constexpr size_t kMostBands = 256;
  if (bands.size() > kMostBands) return false;
  if (is(e, OpId::add))
    return collect_bands(operand(e, 0), axis, bands) && collect_bands(operand(e, 1), axis, bands);
  std::optional<Band> found = band(e, axis);
  if (found) bands.push_back(*found);
  return found.has_value();
}

// A concat along the axis joins with its own parts: bands meet two by two.
void append_parts(std::vector<Expr>& parts, const Expr& e, int64_t axis) {
  if (!is(e, OpId::concat) || attrs<AxisAttrs>(e).axis != axis) return parts.push_back(e);
  for (const Value& v : node(e).operands) parts.push_back({e.graph, v});
}

// pad(a) + pad(b) = pad(concat(a, b)) where the bands a and b lie side by side: each element is a
// sum of one number and zeros. That turns -0 into +0 on the left side and not on the right. The
// gradient of cutting a value into pieces (the gates of an LSTM) becomes a concat by it.
Rewrite add_bands(const Site& s) {
  if (s.op != OpId::add) return std::nullopt;
  int64_t axis = -1;
  std::vector<Band> bands;
  if (!collect_bands(s.in[0], axis, bands) || !collect_bands(s.in[1], axis, bands))
    return std::nullopt;
  std::ranges::sort(bands, {}, &Band::low);
  const auto along = static_cast<int>(axis);
  std::vector<Expr> parts;
  int64_t end = bands[0].low;
  for (const Band& b : bands) {
    if (b.low != end) return std::nullopt;
    end += b.inside.shape()[along].value();
    append_parts(parts, b.inside, axis);
  }
  const auto rank = static_cast<size_t>(s.type.rank());
  std::vector<Value> operands{concat(parts, axis).value, bands[0].fill.value};
  PadAttrs around{std::vector<Dim>(rank), std::vector<Dim>(rank), Dims(rank)};
  around.low[static_cast<size_t>(axis)] = bands.front().low;
  around.high[static_cast<size_t>(axis)] = bands.back().high;
  return Expr{&s.graph, s.graph.add(OpId::pad, std::move(operands), std::move(around))};
}

// Windows that neither overlap nor leave gaps give every element once: [.., O, K] to [.., O*K]. The
// gradient of pooling becomes elementwise by it.
Rewrite fold_disjoint(const Site& s) {
  if (s.op != OpId::fold) return std::nullopt;
  const auto& a = s.get<WindowAttrs>();
  const auto n = std::ssize(a.kernel), lead = s.in[0].rank() - 2 * n;
  for (int64_t i = 0; i < n; ++i) {
    const auto w = static_cast<size_t>(i);
    const Dim covered = s.in[0].shape()[static_cast<int>(lead + i)] * Dim(a.kernel[w]);
    if (a.stride[w] != a.kernel[w] || (a.dilation[w] != 1 && a.kernel[w] != 1) || a.low[w] != 0 ||
        a.high[w] != 0 || !(covered == a.size[w]))
      return std::nullopt;
  }
  Dims perm;
  for (int64_t i = 0; i < lead; ++i) perm.push_back(i);
  for (int64_t i = 0; i < n; ++i) perm.push_back(lead + i), perm.push_back(lead + n + i);
  return reshape(transpose(s.in[0], std::move(perm)), s.type.shape);
}

constexpr Rule kRules[] = {
    {"transpose-identity", "transpose(x, [0,1,..]) = x", transpose_identity},
    {"transpose-transpose", "transpose(transpose(x, p), q) = transpose(x, p[q])",
     transpose_transpose},
    {"reshape-identity", "reshape(x, shape of x) = x", reshape_identity},
    {"reshape-reshape", "reshape(reshape(x, a), b) = reshape(x, b)", reshape_reshape},
    {"broadcast-identity", "broadcast(x, shape of x) = x", broadcast_identity},
    {"broadcast-broadcast", "broadcast(broadcast(x, a), b) = broadcast(x, b[a])",
     broadcast_broadcast},
    {"slice-full", "slice(x, all of it) = x", slice_full},
    {"slice-slice", "slice(slice(x, a), b) = slice(x, a + b*stride)", slice_slice},
    {"pad-nothing", "pad(x, 0, 0) = x", pad_nothing},
    {"concat-one", "concat(x) = x", concat_one},
    {"concat-empty", "concat(x, empty, y) = concat(x, y)", concat_empty},
    {"view-of-splat", "view(splat a) = splat a", view_of_splat},
    {"add-bands", "pad(x, 0) + pad(y, 0) = pad(concat(x, y), 0), side by side", add_bands,
     Exactness::SignOfZero},
    {"fold-disjoint", "fold(x, disjoint windows) = reshape(transpose(x))", fold_disjoint,
     Exactness::SignOfZero},
};

}  // namespace

std::span<const Rule> view_rules() { return kRules; }

}  // namespace lathe
