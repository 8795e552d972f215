// Rows for scan, while_loop, if_else and composite.
#include <numbers>

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

std::shared_ptr<Graph> region(const char* name) { return std::make_shared<Graph>(name); }

void give(Graph& g, const std::vector<Expr>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i)
    g.add_output(fmt::format("out{}", i), outputs[i].value);
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
  const auto gelu = [](const Dim& n) {
    const auto r = region("gelu");
    const Expr x = in(*r, {n, 37});
    give(*r, {x * 0.5 * (erf(x * (std::numbers::sqrt2 / 2)) + 1.0)});
    return r;
  };
  cases.push_back(
      {OpId::composite, "composite/gelu", [gelu](Graph& g, const Dim& n) -> std::vector<Expr> {
         return composite(g, "gelu", gelu(n), {in(g, {n, 37})});
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

void add_control_cases(std::vector<OpCase>& cases) {
  add_scan_rows(cases);
  add_branch_rows(cases);
  add_composite_rows(cases);
}

}  // namespace lathe
