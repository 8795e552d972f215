#include "passes/fold_products.h"

#include <algorithm>

#include "ir/axes.h"
#include "passes/match.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

using match::is, match::operand;

// More windows than positions by this are not worth it.
constexpr double kMostWindows = 1.5;

// One side of a product, and where each of its axes goes in the result.
struct Side {
  Expr value;
  Dims batch, contract;
  Dims free;  // ascending
};

// The axis of `side` that is axis `at` of the result, whose free axes begin at `first`; -1 if none.
int64_t own_axis(const Side& side, int64_t first, int64_t at) {
  const int64_t k = at - first;
  return k >= 0 && k < std::ssize(side.free) ? side.free[static_cast<size_t>(k)] : -1;
}

bool has(const Dims& axes, int64_t axis) { return std::ranges::find(axes, axis) != axes.end(); }

Dims mapped(const Dims& axes, const Dims& to) {
  Dims out;
  for (const int64_t a : axes) out.push_back(to[static_cast<size_t>(a)]);
  return out;
}

// x with `last` as its last axes, the others in their order; `moved` says where each axis went.
Expr with_last(const Expr& x, const Dims& last, Dims& moved) {
  Dims perm;
  for (int64_t a = 0; a < x.rank(); ++a)
    if (!has(last, a)) perm.push_back(a);
  perm.insert(perm.end(), last.begin(), last.end());
  moved = inverse_perm(perm);
  return match::is_iota(perm) ? x : transpose(x, perm);
}

Expr reversed(const Expr& x, const Dims& axes) {
  SliceAttrs a{std::vector<Dim>(static_cast<size_t>(x.rank())), x.shape().dims(),
               Dims(static_cast<size_t>(x.rank()), 1)};
  for (const int64_t axis : axes) {
    const auto i = static_cast<size_t>(axis);
    a.start[i] = a.size[i] - Dim(1);
    a.stride[i] = -1;
  }
  return slice(x, std::move(a.start), std::move(a.size), std::move(a.stride));
}

// The windows of the positions, such that window s meets with reversed tap k the position that tap
// K - 1 - k carried to s; undefined where it does not pay.
std::optional<WindowAttrs> windows_of_positions(const WindowAttrs& a, const Shape& folded,
                                                int64_t lead) {
  WindowAttrs out = a;
  out.fill = 0;
  out.size.clear();
  double windows = 1, positions = 1;
  for (size_t i = 0; i < a.kernel.size(); ++i) {
    const Dim& o = folded[static_cast<int>(lead + static_cast<int64_t>(i))];
    if (a.stride[i] != 1 || !o.is_static() || !a.size[i].is_static()) return std::nullopt;
    const int64_t reach = a.dilation[i] * (a.kernel[i] - 1);
    out.low[i] = reach - a.low[i];
    out.high[i] = a.size[i].value() - o.value() + a.low[i];
    windows *= static_cast<double>(a.size[i].value());
    positions *= static_cast<double>(o.value());
  }
  if (windows > kMostWindows * positions) return std::nullopt;
  return out;
}

std::optional<Expr> as_convolution(const Expr& x, const WindowAttrs& a) {
  Dims place;  // of each axis of x in the product's result
  for (int64_t i = 0; i < x.rank(); ++i) place.push_back(i);
  Expr product = x;
  while (is(product, OpId::transpose)) {
    place = mapped(place, match::attrs<PermAttrs>(product).perm);
    product = operand(product);
  }
  if (!is(product, OpId::dot_general)) return std::nullopt;
  const auto d = match::attrs<DotAttrs>(product);
  Side lhs{operand(product, 0), d.lhs_batch, d.lhs_contract, {}};
  Side rhs{operand(product, 1), d.rhs_batch, d.rhs_contract, {}};
  for (Side* side : {&lhs, &rhs})
    side->free = free_axes(side->value.rank(), side->batch, side->contract);

  const auto n = std::ssize(a.kernel), lead = x.rank() - 2 * n;
  const std::optional<WindowAttrs> w = windows_of_positions(a, x.shape(), lead);
  if (n == 0 || !w) return std::nullopt;
  const auto batch = std::ssize(lhs.batch);
  const int64_t rhs_first = batch + std::ssize(lhs.free);
  const auto axes_of = [&](const Side& side, int64_t first, int64_t from) {
    Dims out;
    for (int64_t i = 0; i < n; ++i)
      out.push_back(own_axis(side, first, place[static_cast<size_t>(from + i)]));
    return out;
  };
  const bool positions_left = !has(axes_of(lhs, batch, lead), -1);
  Side& image = positions_left ? lhs : rhs;
  Side& kernel = positions_left ? rhs : lhs;
  const int64_t image_first = positions_left ? batch : rhs_first;
  const int64_t kernel_first = positions_left ? rhs_first : batch;
  const Dims positions = axes_of(image, image_first, lead);
  const Dims taps = axes_of(kernel, kernel_first, lead + n);
  if (has(positions, -1) || has(taps, -1)) return std::nullopt;

  Dims moved;
  const Expr spread = windows(with_last(image.value, positions, moved), *w);
  DotAttrs out{mapped(image.batch, moved), kernel.batch, mapped(image.contract, moved),
               kernel.contract, d.dtype};
  for (int64_t i = 0; i < n; ++i) {
    out.lhs_contract.push_back(image.value.rank() + i);
    out.rhs_contract.push_back(taps[static_cast<size_t>(i)]);
  }
  const Dims image_free = free_axes(spread.rank(), out.lhs_batch, out.lhs_contract);
  const Dims kernel_free = free_axes(kernel.value.rank(), out.rhs_batch, out.rhs_contract);
  // Where each axis of the result comes from.
  Dims perm;
  for (int64_t i = 0; i < lead + n; ++i) {
    const int64_t at = place[static_cast<size_t>(i)];
    if (at < batch) {
      perm.push_back(at);
    } else if (const int64_t own = own_axis(image, image_first, at); own >= 0) {
      const int64_t axis = moved[static_cast<size_t>(own)];
      perm.push_back(batch + (std::ranges::find(image_free, axis) - image_free.begin()));
    } else {
      const int64_t axis = own_axis(kernel, kernel_first, at);
      perm.push_back(batch + std::ssize(image_free) +
                     (std::ranges::find(kernel_free, axis) - kernel_free.begin()));
    }
  }
  return transpose(dot_general(spread, reversed(kernel.value, taps), std::move(out)),
                   std::move(perm));
}

}  // namespace

Graph fold_products(const Graph& g) {
  const auto visit = [](const Graph& source, uint32_t id, const std::vector<Expr>& operands,
                        Graph&) -> std::optional<std::vector<Expr>> {
    const Node& n = source.nodes()[id];
    if (n.op != OpId::fold) return std::nullopt;
    const std::optional<Expr> out = as_convolution(operands[0], std::get<WindowAttrs>(n.attrs));
    return out ? std::optional(std::vector<Expr>{*out}) : std::nullopt;
  };
  return map_regions(Rebuilder::run(g, visit),
                     [&](const Graph& region) { return Rebuilder::run(region, visit); });
}

}  // namespace lathe
