// Rows for reductions, cumulative sums, sorting, gather and the scatters.
#include "ir/op.h"
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

using Reduction = Expr (*)(const Expr&, Dims);

void add_one_reduction(std::vector<OpCase>& cases, OpId op, const std::string& name, Reduction f) {
  const auto row = [&](const char* what, Shape (*shape)(const Dim&), Dims axes) {
    cases.push_back(
        {op, name + "/" + what, [f, shape, axes](Graph& g, const Dim& n) -> std::vector<Expr> {
           return {f(in(g, shape(n)), axes)};
         }});
  };
  row("last", [](const Dim& n) { return Shape{n, 37}; }, {1});
  row("first", [](const Dim& n) { return Shape{5, n}; }, {0});
  row("middle", [](const Dim& n) { return Shape{2, n, 3}; }, {1});
  row("outer_axes", [](const Dim& n) { return Shape{2, n, 3}; }, {0, 2});
  row("all", [](const Dim& n) { return Shape{n, 4}; }, {0, 1});
  row("no_axes", [](const Dim& n) { return Shape{n, 2}; }, {});
  // The identity, which is infinite for max and min.
  cases.push_back(exact(op, name + "/empty", [f](Graph& g, const Dim& n) -> std::vector<Expr> {
    return {f(in(g, {n, 0, 2}), {1})};
  }));
  for (DType t : {DType::i8, DType::u8, DType::i32, DType::i64, DType::u64})
    cases.push_back(exact(
        op, fmt::format("{}/{}", name, lathe::name(t)),
        [f, t](Graph& g, const Dim& n) -> std::vector<Expr> { return {f(in(g, {n, 9}, t), {1})}; },
        {{-60, 100}}));
  cases.push_back({op,
                   name + "/f16",
                   [f](Graph& g, const Dim& n) -> std::vector<Expr> {
                     return {f(in(g, {n, 6}, DType::f16), {1})};
                   },
                   {{-1, 1}},
                   2e-3,
                   false});
}

void add_reduction_rows(std::vector<OpCase>& cases) {
  add_one_reduction(cases, OpId::reduce_sum, "reduce_sum", reduce_sum);
  add_one_reduction(cases, OpId::reduce_max, "reduce_max", reduce_max);
  add_one_reduction(cases, OpId::reduce_min, "reduce_min", reduce_min);
  add_one_reduction(cases, OpId::reduce_prod, "reduce_prod", reduce_prod);
  cases.push_back(exact(OpId::reduce_max, "reduce_max/bool_any",
                        [](Graph& g, const Dim& n) -> std::vector<Expr> {
                          return {reduce_max(in(g, {n, 3}, DType::boolean), {0})};
                        }));
  cases.push_back(exact(OpId::reduce_min, "reduce_min/bool_all",
                        [](Graph& g, const Dim& n) -> std::vector<Expr> {
                          return {reduce_min(in(g, {n, 3}, DType::boolean), {1})};
                        }));
  // One zero in the first row, two in the second.
  cases.push_back(
      {OpId::reduce_prod, "reduce_prod/zeros", [](Graph& g, const Dim&) -> std::vector<Expr> {
         const Expr mask = constant(g, Tensor::from<float>({3, 3}, {1, 0, 1, 0, 1, 0, 1, 1, 1}));
         return {reduce_prod(in(g, {3, 3}) * mask, {1})};
       }});
}

void add_cumsum_rows(std::vector<OpCase>& cases) {
  for (int mode = 0; mode < 4; ++mode) {
    const bool reverse = (mode & 1) != 0, exclusive = (mode & 2) != 0;
    const std::string suffix =
        std::string(reverse ? "/reverse" : "/forward") + (exclusive ? "_exclusive" : "");
    cases.push_back(
        {OpId::cumsum, "cumsum" + suffix, [=](Graph& g, const Dim& n) -> std::vector<Expr> {
           return {cumsum(in(g, {2, n, 3}), 1, reverse, exclusive)};
         }});
  }
  cases.push_back(
      {OpId::cumsum, "cumsum/last_axis",
       [](Graph& g, const Dim& n) -> std::vector<Expr> { return {cumsum(in(g, {n, 40}), 1)}; }});
  cases.push_back(exact(OpId::cumsum, "cumsum/i8_wraps",
                        [](Graph& g, const Dim& n) -> std::vector<Expr> {
                          return {cumsum(in(g, {n, 7}, DType::i8), 1)};
                        },
                        {{60, 100}}));
}

// Integers are drawn with many ties.
void add_argsort_rows(std::vector<OpCase>& cases) {
  for (int i = 0; i < kDTypeCount; ++i)
    for (const bool descending : {false, true}) {
      const auto t = static_cast<DType>(i);
      const std::string name =
          fmt::format("argsort/{}{}", lathe::name(t), descending ? "_down" : "");
      cases.push_back(exact(OpId::argsort, name,
                            [=](Graph& g, const Dim& n) -> std::vector<Expr> {
                              return {argsort(in(g, {n, 40}, t), descending ? 40 : 5, descending)};
                            },
                            {{-20, 20}}));
    }
  cases.push_back(exact(
      OpId::argsort, "argsort/whole_of_symbolic",
      [](Graph& g, const Dim& n) -> std::vector<Expr> { return {argsort(in(g, {2, n}), n)}; }));
  cases.push_back(exact(
      OpId::argsort, "argsort/none",
      [](Graph& g, const Dim& n) -> std::vector<Expr> { return {argsort(in(g, {n, 4}), 0)}; }));
  cases.push_back(exact(
      OpId::argsort, "argsort/of_empty",
      [](Graph& g, const Dim& n) -> std::vector<Expr> { return {argsort(in(g, {n, 0}), 0)}; }));
  // Of what a kernel makes, read by a gather, whose gradient goes to the places.
  cases.push_back(
      {OpId::gather, "gather/by_order", [](Graph& g, const Dim& n) -> std::vector<Expr> {
         const Expr x = transpose(in(g, {7, n}), {1, 0});
         const Expr first = reshape(slice_axis(x * 2, 0, 0, 1), {7});
         const Expr places = argsort(first, 3, true);
         return {gather(x, places, 1), reduce_sum(gather(first, places, 0), {0})};
       }});
  cases.push_back(exact(OpId::argsort, "argsort/in_scan", [](Graph& g, const Dim& n) {
    Graph body("step");
    const Expr order = input(body, "order", {DType::i64, {9}});
    const Expr key = gather(input(body, "row", {DType::i32, {9}}), order, 0);
    body.add_output("", gather(order, argsort(key, 9), 0).value);
    return scan(g, std::make_shared<const Graph>(std::move(body)), {iota(g, DType::i64, {9}, 0)},
                {in(g, {n, 9}, DType::i32)}, {}, n, true);
  }));
}

void add_index_rows(std::vector<OpCase>& cases) {
  const auto both = [&](const char* name, auto data, auto indices, auto updates, int64_t axis,
                        DType t, Domain domain = {0, 3}) {
    cases.push_back({OpId::gather,
                     std::string("gather/") + name,
                     [=](Graph& g, const Dim& n) -> std::vector<Expr> {
                       const Expr x = in(g, data(n));
                       return {gather(x, in(g, indices(n), t), axis)};
                     },
                     {{}, domain}});
    using Scatter = Expr (*)(const Expr&, const Expr&, const Expr&, int64_t);
    for (const auto& [op, f] : {std::pair<OpId, Scatter>{OpId::scatter_add, scatter_add},
                                {OpId::scatter_mul, scatter_mul},
                                {OpId::scatter_max, scatter_max},
                                {OpId::scatter_min, scatter_min}})
      cases.push_back({op,
                       fmt::format("{}/{}", op_def(op).name, name),
                       [=, scatter = f](Graph& g, const Dim& n) -> std::vector<Expr> {
                         const Expr x = in(g, data(n)), i = in(g, indices(n), t);
                         return {scatter(x, i, in(g, updates(n)), axis)};
                       },
                       {{}, domain}});
  };
  using S = Shape;
  both(
      "embedding", [](const Dim&) { return S{10, 4}; }, [](const Dim& n) { return S{n, 5}; },
      [](const Dim& n) { return S{n, 5, 4}; }, 0, DType::i64, {0, 9});
  both(
      "middle", [](const Dim& n) { return S{n, 4, 3}; }, [](const Dim&) { return S{6}; },
      [](const Dim& n) { return S{n, 6, 3}; }, 1, DType::i32);
  both(
      "last", [](const Dim& n) { return S{n, 4}; }, [](const Dim&) { return S{2, 3}; },
      [](const Dim& n) { return S{n, 2, 3}; }, 1, DType::i64);
  both(
      "scalar_index", [](const Dim& n) { return S{4, n}; }, [](const Dim&) { return S{}; },
      [](const Dim& n) { return S{n}; }, 0, DType::i64);
  both(
      "vector", [](const Dim&) { return S{7}; }, [](const Dim& n) { return S{n}; },
      [](const Dim& n) { return S{n}; }, 0, DType::i32, {0, 6});
  both(
      "clamped", [](const Dim&) { return S{4, 2}; }, [](const Dim& n) { return S{n, 4}; },
      [](const Dim& n) { return S{n, 4, 2}; }, 0, DType::i32, {-9, 9});
  both(
      "narrow_signed", [](const Dim&) { return S{200}; }, [](const Dim& n) { return S{n, 4}; },
      [](const Dim& n) { return S{n, 4}; }, 0, DType::i8, {-128, 127});
  both(
      "narrow_unsigned", [](const Dim&) { return S{100}; }, [](const Dim& n) { return S{n, 4}; },
      [](const Dim& n) { return S{n, 4}; }, 0, DType::u8, {0, 255});
  both(
      "u64", [](const Dim&) { return S{3}; }, [](const Dim& n) { return S{n}; },
      [](const Dim& n) { return S{n}; }, 0, DType::u64, {0, 5});
  both(
      "no_indices", [](const Dim& n) { return S{3, n}; }, [](const Dim&) { return S{0}; },
      [](const Dim& n) { return S{0, n}; }, 0, DType::i64);
  cases.push_back(exact(OpId::gather, "gather/i8", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const Expr x = in(g, {n, 3}, DType::i8);
    return {gather(x, in(g, {4}, DType::i64), 1)};
  }));
  for (const DType t : {DType::i32, DType::u8})
    cases.push_back(exact(OpId::scatter_add, std::string("scatter_add/") + std::string(name(t)),
                          [t](Graph& g, const Dim& n) -> std::vector<Expr> {
                            const Expr x = in(g, {5}, t), i = in(g, {n}, DType::i64);
                            return {scatter_add(x, i, in(g, {n}, t), 0)};
                          }));
  cases.push_back(
      exact(OpId::scatter_mul, "scatter_mul/i32", [](Graph& g, const Dim& n) -> std::vector<Expr> {
        const Expr x = in(g, {5}, DType::i32), i = in(g, {n}, DType::i64);
        return {scatter_mul(x, i, in(g, {n}, DType::i32), 0)};
      }));
  cases.push_back(
      exact(OpId::scatter_max, "scatter_max/u8", [](Graph& g, const Dim& n) -> std::vector<Expr> {
        const Expr x = in(g, {5}, DType::u8), i = in(g, {n}, DType::i64);
        return {scatter_max(x, i, in(g, {n}, DType::u8), 0)};
      }));
  cases.push_back(
      exact(OpId::scatter_min, "scatter_min/i8", [](Graph& g, const Dim& n) -> std::vector<Expr> {
        const Expr x = in(g, {5}, DType::i8), i = in(g, {n}, DType::i64);
        return {scatter_min(x, i, in(g, {n}, DType::i8), 0)};
      }));
}

}  // namespace

void add_reduce_cases(std::vector<OpCase>& cases) {
  add_reduction_rows(cases);
  add_cumsum_rows(cases);
  add_argsort_rows(cases);
  add_index_rows(cases);
}

}  // namespace lathe
