// Rows for dot_general, windows and fold.
#include <limits>

#include "tests/support/op_cases.h"

namespace lathe {
namespace {

using Build = std::function<std::vector<Expr>(Graph&, const Dim&)>;

Expr in(Graph& g, Shape shape, DType t = DType::f32) {
  return input(g, fmt::format("x{}", g.inputs().size()), {t, std::move(shape)});
}

// Integers have no gradient.
OpCase exact(OpId op, std::string name, Build build, std::vector<Domain> domains = {}) {
  return {.op = op,
          .name = std::move(name),
          .build = std::move(build),
          .domains = std::move(domains),
          .differentiable = false};
}

void add_dot_rows(std::vector<OpCase>& cases) {
  const auto row = [&](const char* name, Build build) {
    cases.push_back({OpId::dot_general, std::string("dot_general/") + name, std::move(build)});
  };
  row("matmul", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(in(g, {n, 7}), in(g, {7, 5}), {.lhs_contract = {1}, .rhs_contract = {0}})};
  });
  row("transposed", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(in(g, {6, n}), in(g, {5, 6}), {.lhs_contract = {0}, .rhs_contract = {1}})};
  });
  row("vector", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(in(g, {n, 33}), in(g, {33}), {.lhs_contract = {1}, .rhs_contract = {0}})};
  });
  row("inner", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(in(g, {n}), in(g, {n}), {.lhs_contract = {0}, .rhs_contract = {0}})};
  });
  row("outer", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(in(g, {n}), in(g, {4}), {})};
  });
  row("batch", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(
        in(g, {2, n, 4}), in(g, {2, 4, 3}),
        {.lhs_batch = {0}, .rhs_batch = {0}, .lhs_contract = {2}, .rhs_contract = {1}})};
  });
  // Batch axes that are not first and not in the same place, as in attention on [b, t, h, d].
  row("scattered_batch", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(
        in(g, {2, n, 3, 4}), in(g, {3, n, 4, 2}),
        {.lhs_batch = {0, 2}, .rhs_batch = {3, 0}, .lhs_contract = {3}, .rhs_contract = {2}})};
  });
  row("two_contracting_axes", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(in(g, {2, n, 3}), in(g, {3, 5, n}),
                        {.lhs_contract = {1, 2}, .rhs_contract = {2, 0}})};
  });
  row("empty_contraction", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {dot_general(in(g, {n, 0}), in(g, {0, 2}), {.lhs_contract = {1}, .rhs_contract = {0}})};
  });
  // Two groups of channels, [n, 2, 3, length]: the group axis is a batch axis.
  row("grouped_conv", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const Expr x = reshape(in(g, {n, 6, 8}), {n, 2, 3, 8});
    const WindowAttrs w{.kernel = {3}, .stride = {1}, .dilation = {1}, .low = {1}, .high = {1}};
    return {dot_general(
        windows(x, w), in(g, {2, 4, 3, 3}),
        {.lhs_batch = {1}, .rhs_batch = {0}, .lhs_contract = {2, 4}, .rhs_contract = {2, 3}})};
  });
  const auto quantised = [&](const char* name, DType a, DType b) {
    cases.push_back(exact(OpId::dot_general, std::string("dot_general/") + name,
                          [a, b](Graph& g, const Dim& n) -> std::vector<Expr> {
                            return {dot_general(
                                in(g, {n, 40}, a), in(g, {40, 3}, b),
                                {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = DType::i32})};
                          },
                          {{-128, 127}, {-128, 127}}));
  };
  quantised("i8_i8_i32", DType::i8, DType::i8);
  quantised("u8_i8_i32", DType::u8, DType::i8);
  quantised("i32_wraps", DType::i32, DType::i32);
  cases.push_back({OpId::dot_general,
                   "dot_general/f16_to_f32",
                   [](Graph& g, const Dim& n) -> std::vector<Expr> {
                     return {dot_general(in(g, {n, 8}, DType::f16), in(g, {8, 3}, DType::f16),
                                         {.lhs_contract = {1}, .rhs_contract = {0}})};
                   },
                   {},
                   1e-3,
                   false});
  cases.push_back({OpId::dot_general,
                   "dot_general/bf16_to_f32",
                   [](Graph& g, const Dim& n) -> std::vector<Expr> {
                     return {dot_general(in(g, {n, 19}, DType::bf16), in(g, {19, 21}, DType::bf16),
                                         {.lhs_contract = {1}, .rhs_contract = {0}})};
                   },
                   {},
                   1e-3,
                   false});
  cases.push_back(
      {OpId::dot_general,
       "dot_general/f64",
       [](Graph& g, const Dim& n) -> std::vector<Expr> {
         return {dot_general(in(g, {n, 8}, DType::f64), in(g, {8, 3}, DType::f64),
                             {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = DType::f64})};
       },
       {},
       1e-12});
}

struct WindowRow {
  const char* name;
  Shape (*shape)(const Dim&);
  WindowAttrs attrs;
};

std::vector<WindowRow> window_rows() {
  return {
      {"plain",
       [](const Dim& n) { return Shape{n, 6}; },
       {.kernel = {3}, .stride = {1}, .dilation = {1}, .low = {0}, .high = {0}}},
      {"same",
       [](const Dim& n) { return Shape{2, n + Dim(4)}; },
       {.kernel = {3}, .stride = {1}, .dilation = {1}, .low = {1}, .high = {1}}},
      {"strided",
       [](const Dim& n) { return Shape{n, 8}; },
       {.kernel = {3}, .stride = {2}, .dilation = {1}, .low = {1}, .high = {0}}},
      {"gaps",
       [](const Dim& n) { return Shape{n, 9}; },
       {.kernel = {2}, .stride = {4}, .dilation = {1}, .low = {0}, .high = {0}}},
      {"dilated",
       [](const Dim& n) { return Shape{n, 9}; },
       {.kernel = {3}, .stride = {1}, .dilation = {2}, .low = {2}, .high = {2}}},
      {"dilated_strided",
       [](const Dim& n) { return Shape{n, 11}; },
       {.kernel = {3}, .stride = {2}, .dilation = {3}, .low = {3}, .high = {1}}},
      {"cropped",
       [](const Dim& n) { return Shape{n, 9}; },
       {.kernel = {2}, .stride = {1}, .dilation = {1}, .low = {-2}, .high = {-1}}},
      {"planes",
       [](const Dim& n) { return Shape{n, 2, 5, 6}; },
       {.kernel = {3, 2}, .stride = {2, 1}, .dilation = {1, 2}, .low = {1, 0}, .high = {1, 2}}},
      {"symbolic_strided",
       [](const Dim& n) { return Shape{2, n + Dim(5)}; },
       {.kernel = {3}, .stride = {2}, .dilation = {1}, .low = {1}, .high = {1}}},
      {"volumes",
       [](const Dim& n) { return Shape{n, 3, 4, 3}; },
       {.kernel = {2, 2, 3},
        .stride = {1, 2, 1},
        .dilation = {1, 1, 1},
        .low = {0, 0, 1},
        .high = {0, 0, 1}}},
  };
}

void add_window_rows(std::vector<OpCase>& cases) {
  for (const WindowRow& r : window_rows()) {
    cases.push_back({OpId::windows, std::string("windows/") + r.name,
                     [r](Graph& g, const Dim& n) -> std::vector<Expr> {
                       return {windows(in(g, r.shape(n)), r.attrs)};
                     }});
    // fold takes what windows gives.
    cases.push_back({OpId::fold, std::string("fold/") + r.name,
                     [r](Graph& g, const Dim& n) -> std::vector<Expr> {
                       const Shape size = r.shape(n);
                       Graph shapes;
                       const Shape unfolded = windows(in(shapes, size), r.attrs).shape();
                       WindowAttrs a = r.attrs;
                       a.size.assign(size.end() - std::ssize(a.kernel), size.end());
                       return {fold(in(g, unfolded), a)};
                     }});
  }
  WindowAttrs pool{.kernel = {3}, .stride = {2}, .dilation = {1}, .low = {1}, .high = {1}};
  pool.fill = -std::numeric_limits<double>::infinity();
  cases.push_back(
      {OpId::windows, "windows/max_pool", [pool](Graph& g, const Dim& n) -> std::vector<Expr> {
         return {reduce_max(windows(in(g, {n, 7}), pool), {2})};
       }});
  pool.fill = -128;
  cases.push_back(exact(OpId::windows, "windows/i8",
                        [pool](Graph& g, const Dim& n) -> std::vector<Expr> {
                          return {windows(in(g, {n, 7}, DType::i8), pool)};
                        },
                        {{-128, 127}}));
  cases.push_back(exact(OpId::fold, "fold/i32", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {fold(
        in(g, {n, 4, 3}, DType::i32),
        {.kernel = {3}, .stride = {1}, .dilation = {1}, .low = {0}, .high = {0}, .size = {6}})};
  }));
}

}  // namespace

void add_contract_cases(std::vector<OpCase>& cases) {
  add_dot_rows(cases);
  add_window_rows(cases);
}

}  // namespace lathe
