// Rows for reductions, contractions, windows, indexing and control.
#include <limits>

#include "tests/support/op_cases.h"

namespace lathe {
namespace {

using Build = std::function<std::vector<Expr>(Graph&, const Dim&)>;

Expr in(Graph& g, Shape shape, DType t = DType::f32) {
  return input(g, "x" + std::to_string(g.inputs().size()), {t, std::move(shape)});
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
  row("empty", [](const Dim& n) { return Shape{n, 0, 2}; }, {1});
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
  cases.push_back(
      exact(OpId::reduce_max, "reduce_max/any", [](Graph& g, const Dim& n) -> std::vector<Expr> {
        return {reduce_max(in(g, {n, 3}, DType::boolean), {0})};
      }));
  cases.push_back(
      exact(OpId::reduce_min, "reduce_min/all", [](Graph& g, const Dim& n) -> std::vector<Expr> {
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
    cases.push_back({OpId::scatter_add,
                     std::string("scatter_add/") + name,
                     [=](Graph& g, const Dim& n) -> std::vector<Expr> {
                       const Expr x = in(g, data(n)), i = in(g, indices(n), t);
                       return {scatter_add(x, i, in(g, updates(n)), axis)};
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
  cases.push_back(
      exact(OpId::scatter_add, "scatter_add/i32", [](Graph& g, const Dim& n) -> std::vector<Expr> {
        const Expr x = in(g, {5}, DType::i32), i = in(g, {n}, DType::i64);
        return {scatter_add(x, i, in(g, {n}, DType::i32), 0)};
      }));
}

std::shared_ptr<Graph> region(const char* name) { return std::make_shared<Graph>(name); }

void give(Graph& g, const std::vector<Expr>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i)
    g.add_output("out" + std::to_string(i), outputs[i].value);
}

// h' = tanh(x W + h U + b), y = h'
Region rnn_body(const Dim& n) {
  const auto r = region("rnn");
  const Expr h = in(*r, {n, 3}), x = in(*r, {n, 2}), w = in(*r, {2, 3}), u = in(*r, {3, 3}),
             b = in(*r, {3});
  const Expr next = tanh(matmul(x, w) + matmul(h, u) + b);
  give(*r, {next, next});
  return r;
}

void add_scan_rows(std::vector<OpCase>& cases) {
  const auto row = [&](const char* name, Build build, std::vector<Domain> domains = {}) {
    cases.push_back(
        {OpId::scan, std::string("scan/") + name, std::move(build), std::move(domains)});
  };
  for (const bool reverse : {false, true})
    row(reverse ? "rnn_reverse" : "rnn", [reverse](Graph& g, const Dim& n) -> std::vector<Expr> {
      const Expr h = in(g, {n, 3}), x = in(g, {4, n, 2}), w = in(g, {2, 3}), u = in(g, {3, 3}),
                 b = in(g, {3});
      return scan(g, rnn_body(n), {h}, {x}, {w, u, b}, 4, reverse);
    });
  row("symbolic_length", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const Expr h = in(g, {2, 3}), x = in(g, {n, 2, 2}), w = in(g, {2, 3}), u = in(g, {3, 3}),
               b = in(g, {3});
    return scan(g, rnn_body(2), {h}, {x}, {w, u, b}, n);
  });
  // Two carries that feed each other, an output that is neither, and a constant that is only
  // scaled.
  row("two_carries", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const auto r = region("pair");
    const Expr a = in(*r, {n}), b = in(*r, {n}), x = in(*r, {n}), k = in(*r, {n});
    give(*r, {sin(a) + b * x, a * k, exp(a * 0.1) * x + k * k});
    const Expr a0 = in(g, {n}), b0 = in(g, {n}), xs = in(g, {3, n}), c = in(g, {n});
    return scan(g, r, {a0, b0}, {xs}, {c}, 3);
  });
  row("linear", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const auto r = region("linear");
    const Expr a = in(*r, {n}), x = in(*r, {n});
    const Expr next = a * 0.5 + x;
    give(*r, {next, next});
    const Expr start = in(g, {n});
    return scan(g, r, {start}, {in(g, {3, n})}, {}, 3);
  });
  // No carries: a map over the leading axis.
  row("map", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const auto r = region("square");
    const Expr x = in(*r, {n});
    give(*r, {x * x * x});
    return scan(g, r, {}, {in(g, {3, n})}, {}, 3);
  });
  // Only a carry and constants; the integer carry counts steps and scales each.
  row("counter", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const auto r = region("counter");
    const Expr step = in(*r, {}, DType::i32), a = in(*r, {n}), k = in(*r, {n});
    const Expr scale = broadcast_to(cast(step, DType::f32), a.shape());
    give(*r, {step + constant(*r, Tensor::scalar<int32_t>(1)), tanh(a * k + scale)});
    const Expr zero = constant(g, Tensor::scalar<int32_t>(0)), start = in(g, {n});
    return {scan(g, r, {zero, start}, {}, {in(g, {n})}, 3)[1]};
  });
  row("no_steps", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const auto r = region("none");
    const Expr a = in(*r, {n}), x = in(*r, {n});
    give(*r, {a * x, a});
    const Expr start = in(g, {n});
    return scan(g, r, {start}, {in(g, {0, n})}, {}, 0);
  });
  row("nested", [](Graph& g, const Dim& n) -> std::vector<Expr> {
    const auto inner = region("inner");
    {
      const Expr a = in(*inner, {n}), k = in(*inner, {n});
      give(*inner, {sin(a * k) + a});
    }
    const auto outer = region("outer");
    {
      const Expr a = in(*outer, {n}), x = in(*outer, {n});
      const Expr next = scan(*outer, inner, {a}, {}, {x}, 2)[0];
      give(*outer, {next, next * x});
    }
    const Expr start = in(g, {n});
    return scan(g, outer, {start}, {in(g, {3, n})}, {}, 3);
  });
}

void add_branch_rows(std::vector<OpCase>& cases) {
  cases.push_back(
      {OpId::if_else, "if_else/branches", [](Graph& g, const Dim& n) -> std::vector<Expr> {
         const auto yes = region("yes"), no = region("no");
         {
           const Expr x = in(*yes, {n}), y = in(*yes, {n});
           give(*yes, {sin(x) * y, x});
         }
         {
           const Expr x = in(*no, {n}), y = in(*no, {n});
           give(*no, {x * x, exp(y)});
         }
         const Expr c = in(g, {}, DType::boolean), x = in(g, {n});
         return if_else(c, yes, no, {x, in(g, {n})});
       }});
  cases.push_back(exact(OpId::while_loop, "while_loop/doubling",
                        [](Graph& g, const Dim& n) -> std::vector<Expr> {
                          const auto test = region("below"), body = region("double");
                          {
                            const Expr k = in(*test, {}, DType::i32);
                            in(*test, {n});
                            const Expr limit = in(*test, {}, DType::i32);
                            give(*test, {lt(k, limit)});
                          }
                          {
                            const Expr k = in(*body, {}, DType::i32), x = in(*body, {n});
                            in(*body, {}, DType::i32);
                            give(*body, {k + constant(*body, Tensor::scalar<int32_t>(1)), x + x});
                          }
                          const Expr zero = constant(g, Tensor::scalar<int32_t>(0)), x = in(g, {n});
                          return while_loop(g, test, body, {zero, x}, {in(g, {}, DType::i32)});
                        },
                        {{}, {0, 5}}));
}

void add_composite_rows(std::vector<OpCase>& cases) {
  const auto softmax = [](const Dim& n) {
    const auto r = region("softmax");
    const Expr x = in(*r, {n, 5});
    const Expr e = exp(x - keep_axes(reduce_max(x, {1}), {1}));
    give(*r, {e / keep_axes(reduce_sum(e, {1}), {1})});
    return r;
  };
  cases.push_back({OpId::composite, "composite/softmax",
                   [softmax](Graph& g, const Dim& n) -> std::vector<Expr> {
                     return composite(g, "softmax", softmax(n), {in(g, {n, 5})});
                   }});
  // A composite inside a scan, and two results of which one is used.
  cases.push_back(
      {OpId::composite, "composite/in_scan", [](Graph& g, const Dim& n) -> std::vector<Expr> {
         const auto cell = region("cell");
         {
           const Expr h = in(*cell, {n}), x = in(*cell, {n});
           give(*cell, {tanh(h * x), sigmoid(x)});
         }
         const auto body = region("body");
         {
           const Expr h = in(*body, {n}), x = in(*body, {n});
           const auto r = composite(*body, "cell", cell, {h, x});
           give(*body, {r[0] + h, r[0]});
         }
         const Expr start = in(g, {n});
         return scan(g, body, {start}, {in(g, {3, n})}, {}, 3);
       }});
}

}  // namespace

void add_reduction_cases(std::vector<OpCase>& cases) {
  add_reduction_rows(cases);
  add_cumsum_rows(cases);
}

void add_contraction_cases(std::vector<OpCase>& cases) {
  add_dot_rows(cases);
  add_window_rows(cases);
}

void add_index_cases(std::vector<OpCase>& cases) { add_index_rows(cases); }

void add_control_cases(std::vector<OpCase>& cases) {
  add_scan_rows(cases);
  add_branch_rows(cases);
  add_composite_rows(cases);
}

}  // namespace lathe
