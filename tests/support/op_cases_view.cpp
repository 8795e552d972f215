// Rows for views: reshape, transpose, broadcast, slice, pad, concat.
#include "tests/support/op_cases.h"

namespace lathe {
namespace {

using Cases = std::vector<OpCase>;
using Outputs = std::vector<Expr>;
using Build = std::function<Expr(Graph&, const Dim&)>;

Expr in(Graph& g, Shape shape, DType t = DType::f32) {
  return input(g, fmt::format("x{}", g.inputs().size()), {t, std::move(shape)});
}

// Views are exact; the arithmetic around some of them rounds to f32 twice or thrice.
constexpr double kTolerance = 4e-7;

// Float rows are differentiable: views are linear.
void add(Cases& cases, OpId op, std::string name, Build build, bool differentiable = true) {
  cases.push_back({.op = op,
                   .name = std::move(name),
                   .build = [build](Graph& g, const Dim& n) -> Outputs { return {build(g, n)}; },
                   .tolerance = kTolerance,
                   .differentiable = differentiable});
}

void add_reshape_rows(Cases& cases) {
  const auto row = [&](const char* name, Build build) {
    add(cases, OpId::reshape, name, std::move(build));
  };
  row("reshape/merge", [](Graph& g, const Dim& n) { return reshape(in(g, {n, 3, 4}), {n, 12}); });
  row("reshape/split",
      [](Graph& g, const Dim& n) { return reshape(in(g, {n, 12}), {n, 3, 2, 2}); });
  row("reshape/flatten", [](Graph& g, const Dim& n) { return reshape(in(g, {n, 3}), {n * 3}); });
  row("reshape/regroup",
      [](Graph& g, const Dim& n) { return reshape(in(g, {n, 6, 4}), {n, 4, 6}); });
  row("reshape/scalar", [](Graph& g, const Dim&) { return reshape(in(g, {1, 1}), {}); });
  row("reshape/empty", [](Graph& g, const Dim& n) { return reshape(in(g, {n, 0}), {0, 5}); });
  // The operand is computed in the same kernel, so the index is taken apart.
  row("reshape/of_fused", [](Graph& g, const Dim& n) {
    return reshape(transpose(in(g, {n, 4, 6}) + 1, {0, 2, 1}), {n, 8, 3}) * 2;
  });
}

void add_transpose_rows(Cases& cases) {
  const auto row = [&](const char* name, Build build) {
    add(cases, OpId::transpose, name, std::move(build));
  };
  row("transpose/matrix", [](Graph& g, const Dim& n) { return transpose(in(g, {n, 37}), {1, 0}); });
  row("transpose/cycle",
      [](Graph& g, const Dim& n) { return transpose(in(g, {2, n, 4}), {2, 0, 1}); });
  row("transpose/scalar", [](Graph& g, const Dim&) { return transpose(in(g, {}), {}); });
  add(
      cases, OpId::transpose, "transpose/u8",
      [](Graph& g, const Dim& n) { return transpose(in(g, {n, 37}, DType::u8), {1, 0}); }, false);
}

void add_broadcast_rows(Cases& cases) {
  const auto row = [&](const char* name, Build build) {
    add(cases, OpId::broadcast, name, std::move(build));
  };
  row("broadcast/scalar", [](Graph& g, const Dim& n) { return broadcast(in(g, {}), {n, 37}, {}); });
  row("broadcast/rows",
      [](Graph& g, const Dim& n) { return broadcast(in(g, {37}), {n, 37}, {1}); });
  row("broadcast/columns",
      [](Graph& g, const Dim& n) { return broadcast(in(g, {n}), {n, 37}, {0}); });
  row("broadcast/stretch",
      [](Graph& g, const Dim& n) { return broadcast(in(g, {1, 5, 1}), {2, n, 5, 3}, {1, 2, 3}); });
  row("broadcast/same",
      [](Graph& g, const Dim& n) { return broadcast(in(g, {n, 1}), {n, 1}, {0, 1}); });
}

void add_slice_rows(Cases& cases) {
  const auto row = [&](const char* name, Build build) {
    add(cases, OpId::slice, name, std::move(build));
  };
  row("slice/middle", [](Graph& g, const Dim& n) { return slice(in(g, {n, 9}), {0, 2}, {n, 5}); });
  row("slice/strided",
      [](Graph& g, const Dim& n) { return slice(in(g, {n, 9}), {0, 1}, {n, 3}, {1, 3}); });
  row("slice/reversed", [](Graph& g, const Dim& n) { return reverse(in(g, {4, n}), 1); });
  row("slice/backwards",
      [](Graph& g, const Dim& n) { return slice(in(g, {n, 9}), {0, 7}, {n, 3}, {1, -3}); });
  row("slice/last_of_symbolic",
      [](Graph& g, const Dim& n) { return slice_axis(in(g, {n, 4}), 0, n - 1, 1); });
  row("slice/all_but_first",
      [](Graph& g, const Dim& n) { return slice_axis(in(g, {n, 4}), 0, 1, n - 1); });
  row("slice/empty", [](Graph& g, const Dim& n) { return slice(in(g, {n, 4}), {0, 2}, {n, 0}); });
}

void add_pad_rows(Cases& cases) {
  const auto row = [&](const char* name, Build build) {
    add(cases, OpId::pad, name, std::move(build));
  };
  row("pad/zeros", [](Graph& g, const Dim& n) { return pad(in(g, {n, 5}), 0, {1, 2}, {0, 3}); });
  row("pad/value", [](Graph& g, const Dim& n) { return pad(in(g, {n, 5}), -1.5, {1, 2}, {0, 3}); });
  row("pad/interior",
      [](Graph& g, const Dim& n) { return pad(in(g, {n, 5}), 0.5, {1, 0}, {0, 2}, {2, 1}); });
  row("pad/crop", [](Graph& g, const Dim& n) { return pad(in(g, {n, 7}), 0, {1, -2}, {0, -1}); });
  row("pad/crop_interior",
      [](Graph& g, const Dim& n) { return pad(in(g, {n, 7}), 0, {0, -3}, {0, -2}, {0, 2}); });
  row("pad/symbolic_amount",
      [](Graph& g, const Dim& n) { return pad(in(g, {2, 3}), 0, {0, n}, {0, n - 1}); });
  row("pad/of_empty", [](Graph& g, const Dim& n) { return pad(in(g, {n, 0}), 2, {0, 1}, {0, 2}); });
  row("pad/of_fused",
      [](Graph& g, const Dim& n) { return pad(in(g, {n, 5}) + 1, 0, {1, 2}, {0, 3}) * 2; });
  row("pad/given_fill", [](Graph& g, const Dim& n) {
    const Expr x = in(g, {n, 5}), fill = in(g, {});
    return Expr{&g, g.add(OpId::pad, {x.value, fill.value}, PadAttrs{{1, 1}, {0, 1}, {0, 1}})};
  });
  add(
      cases, OpId::pad, "pad/wide_integer",
      [](Graph& g, const Dim& n) {
        const Expr x = in(g, {n, 5}, DType::i64);
        const Expr fill = constant(g, Tensor::scalar<int64_t>((int64_t{1} << 62) + 1));
        return Expr{&g, g.add(OpId::pad, {x.value, fill.value}, PadAttrs{{0, 1}, {0, 1}, {0, 0}})};
      },
      false);
}

void add_concat_rows(Cases& cases) {
  const auto row = [&](const char* name, Build build) {
    add(cases, OpId::concat, name, std::move(build));
  };
  row("concat/two", [](Graph& g, const Dim& n) {
    const Expr a = in(g, {n, 3});
    return concat({a, in(g, {n, 5})}, 1);
  });
  row("concat/symbolic_axis", [](Graph& g, const Dim& n) {
    const Expr a = in(g, {n, 3}), b = in(g, {2 * n, 3});
    return concat({a, b, in(g, {1, 3})}, 0);
  });
  row("concat/empty_part", [](Graph& g, const Dim& n) {
    const Expr a = in(g, {n, 3}), b = in(g, {n, 0});
    return concat({a, b, a}, 1);
  });
  row("concat/of_fused", [](Graph& g, const Dim& n) {
    const Expr a = in(g, {n, 3}), b = in(g, {n, 4});
    return concat({a * 2, b + 1, reverse(a, 1)}, 1) * 3;
  });
  row("concat/nested", [](Graph& g, const Dim& n) {
    const Expr a = in(g, {n, 3}), b = in(g, {n, 4});
    return pad(concat({concat({a, b}, 1) + 1, a}, 1), 0, {0, 1}, {0, 1});
  });
}

}  // namespace

void add_view_cases(Cases& cases) {
  add_reshape_rows(cases);
  add_transpose_rows(cases);
  add_broadcast_rows(cases);
  add_slice_rows(cases);
  add_pad_rows(cases);
  add_concat_rows(cases);
}

}  // namespace lathe
