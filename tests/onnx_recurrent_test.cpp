// RNN, GRU and LSTM against the standard's equations written as loops, over random attributes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/support/onnx_node.h"
#include "tests/support/random.h"

namespace lathe::onnx {
namespace {

using List = std::vector<float>;

// A node's attributes and inputs.
struct Case {
  std::string op;
  int64_t gates = 1, directions = 1, time = 1, batch = 1, features = 1, hidden = 1;
  bool reverse = false, batch_first = false, peepholes = false, coupled = false, reset_last = false,
       steep = false;
  double clip = 0;
  std::vector<int32_t> lengths;  // none: all steps
  List x, w, r, b, h, c, p;      // none of b, h, c, p: left out
  size_t at(int64_t i, int64_t n, int64_t k) const { return static_cast<size_t>(i * n + k); }
};

double squash(const Case& k, double z, bool gate) {
  if (k.clip > 0) z = std::clamp(z, -k.clip, k.clip);
  if (!gate) return std::tanh(z);
  return k.steep ? std::clamp(0.3 * z + 0.4, 0.0, 1.0) : 1 / (1 + std::exp(-z));
}

// One direction's state: h and c of [batch, hidden].
struct State {
  List h, c;
};

// Pre-activation of gate g, unit u: the inputs' part, and the recurrent part of `h`.
struct Parts {
  double from_x = 0, from_h = 0;
};
Parts parts(const Case& k, int64_t d, int64_t t, int64_t n, int64_t g, int64_t u, const double* h) {
  const int64_t rows = k.gates * k.hidden, row = d * rows + g * k.hidden + u;
  Parts out;
  const int64_t step = k.batch_first ? n * k.time + t : t * k.batch + n;
  for (int64_t f = 0; f < k.features; ++f)
    out.from_x += double{k.w[k.at(row, k.features, f)]} * k.x[k.at(step, k.features, f)];
  for (int64_t v = 0; v < k.hidden; ++v) out.from_h += k.r[k.at(row, k.hidden, v)] * h[v];
  if (!k.b.empty()) {
    out.from_x += k.b[k.at(d, 2 * rows, g * k.hidden + u)];
    out.from_h += k.b[k.at(d, 2 * rows, rows + g * k.hidden + u)];
  }
  return out;
}

void step(const Case& k, int64_t d, int64_t t, int64_t n, double* h, double* c) {
  const auto units = static_cast<size_t>(k.hidden);
  const std::vector<double> old_h(h, h + units), old_c(c, c + units);
  const auto sum = [&](int64_t g, size_t u) {
    const Parts p = parts(k, d, t, n, g, static_cast<int64_t>(u), old_h.data());
    return p.from_x + p.from_h;
  };
  const auto peephole = [&](int64_t g, size_t u, double cell) {
    return k.p.empty() ? 0 : k.p[k.at(d, 3 * k.hidden, g * k.hidden) + u] * cell;
  };
  if (k.op == "RNN")
    for (size_t u = 0; u < units; ++u) h[u] = squash(k, sum(0, u), false);
  if (k.op == "LSTM")
    for (size_t u = 0; u < units; ++u) {
      const double i = squash(k, sum(0, u) + peephole(0, u, old_c[u]), true);
      const double f = k.coupled ? 1 - i : squash(k, sum(2, u) + peephole(2, u, old_c[u]), true);
      c[u] = f * old_c[u] + i * squash(k, sum(3, u), false);
      h[u] = squash(k, sum(1, u) + peephole(1, u, c[u]), true) * squash(k, c[u], false);
    }
  if (k.op == "GRU") {
    std::vector<double> z, r, reset_h;
    for (size_t u = 0; u < units; ++u) {
      z.push_back(squash(k, sum(0, u), true));
      r.push_back(squash(k, sum(1, u), true));
      reset_h.push_back(r[u] * old_h[u]);
    }
    for (size_t u = 0; u < units; ++u) {
      const auto unit = static_cast<int64_t>(u);
      const Parts p = parts(k, d, t, n, 2, unit, k.reset_last ? old_h.data() : reset_h.data());
      const double candidate =
          squash(k, p.from_x + (k.reset_last ? r[u] * p.from_h : p.from_h), false);
      h[u] = (1 - z[u]) * candidate + z[u] * old_h[u];
    }
  }
}

// Y, Y_h, Y_c.
std::vector<std::vector<double>> expected(const Case& k) {
  const auto count = static_cast<size_t>(k.directions * k.batch * k.hidden);
  std::vector<std::vector<double>> out = {std::vector<double>(count * static_cast<size_t>(k.time)),
                                          std::vector<double>(count), std::vector<double>(count)};
  for (int64_t d = 0; d < k.directions; ++d)
    for (int64_t n = 0; n < k.batch; ++n) {
      const size_t place =
          static_cast<size_t>((k.batch_first ? n * k.directions + d : d * k.batch + n) * k.hidden);
      double *h = &out[1][place], *c = &out[2][place];
      for (size_t u = 0; u < static_cast<size_t>(k.hidden); ++u) {
        if (!k.h.empty()) h[u] = k.h[place + u];
        if (!k.c.empty()) c[u] = k.c[place + u];
      }
      const int64_t length = k.lengths.empty() ? k.time : k.lengths[static_cast<size_t>(n)];
      for (int64_t i = 0; i < length; ++i) {
        const int64_t t = k.reverse || d == 1 ? length - 1 - i : i;
        step(k, d, t, n, h, c);
        const int64_t y = k.batch_first ? (n * k.time + t) * k.directions + d
                                        : (t * k.directions + d) * k.batch + n;
        std::copy_n(h, k.hidden, &out[0][static_cast<size_t>(y * k.hidden)]);
      }
    }
  return out;
}

Case random_case(Random& random) {
  Case k;
  const auto yes = [&] { return random.percent(50); };
  const auto values = [&](int64_t n) {
    List out;
    for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<float>(random.uniform(-1, 1)));
    return out;
  };
  k.op = std::vector<std::string>{"RNN", "GRU", "LSTM"}[static_cast<size_t>(random.below(3))];
  k.gates = k.op == "RNN" ? 1 : k.op == "GRU" ? 3 : 4;
  k.directions = yes() ? 2 : 1;
  k.reverse = k.directions == 1 && yes();
  k.batch_first = yes();
  k.coupled = k.op == "LSTM" && random.percent(25);
  k.reset_last = yes();
  k.steep = k.op != "RNN" && yes();
  k.clip = yes() ? 0.5 : 0;
  k.time = 1 + random.below(5), k.batch = 1 + random.below(4);
  k.features = 1 + random.below(5), k.hidden = 1 + random.below(6);
  const int64_t rows = k.directions * k.gates * k.hidden;
  const int64_t states = k.directions * k.batch * k.hidden;
  k.x = values(k.time * k.batch * k.features);
  k.w = values(rows * k.features), k.r = values(rows * k.hidden);
  if (yes()) k.b = values(2 * rows);
  if (yes()) k.h = values(states);
  if (k.op == "LSTM" && yes()) k.c = values(states);
  if (k.op == "LSTM" && yes()) k.p = values(k.directions * 3 * k.hidden);
  if (yes())
    for (int64_t n = 0; n < k.batch; ++n)
      k.lengths.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(k.time) + 1)));
  return k;
}

struct Built {
  Message model;
  std::vector<std::pair<std::string, Value>> inputs;
};

Built build(const Case& k) {
  GraphBuilder g;
  Built out;
  std::vector<std::string> names;
  const auto give = [&](const std::string& name, const Dims& dims, const List& v) {
    names.push_back(v.empty() ? "" : name);
    if (v.empty()) return;
    g.input(name, ElemType::Float, dims);
    out.inputs.emplace_back(name, Value::of(HostTensor(Tensor::from<float>(dims, v))));
  };
  const Dims state =
      k.batch_first ? Dims{k.batch, k.directions, k.hidden} : Dims{k.directions, k.batch, k.hidden};
  const int64_t rows = k.gates * k.hidden;
  give("x", k.batch_first ? Dims{k.batch, k.time, k.features} : Dims{k.time, k.batch, k.features},
       k.x);
  give("w", {k.directions, rows, k.features}, k.w);
  give("r", {k.directions, rows, k.hidden}, k.r);
  give("b", {k.directions, 2 * rows}, k.b);
  names.push_back(k.lengths.empty() ? "" : "lengths");
  if (!k.lengths.empty()) {
    g.input("lengths", ElemType::Int32, {k.batch});
    out.inputs.emplace_back("lengths",
                            Value::of(HostTensor(Tensor::from<int32_t>({k.batch}, k.lengths))));
  }
  give("h", state, k.h);
  std::vector<std::string> results = {"y", "last_h"};
  if (k.op == "LSTM") {
    give("c", state, k.c);
    give("p", {k.directions, 3 * k.hidden}, k.p);
    results.emplace_back("last_c");
  }
  std::vector<Message> attributes = {int_attribute("hidden_size", k.hidden),
                                     int_attribute("layout", k.batch_first ? 1 : 0),
                                     text_attribute("direction", k.directions == 2 ? "bidirectional"
                                                                 : k.reverse       ? "reverse"
                                                                                   : "forward")};
  if (k.clip > 0) attributes.push_back(float_attribute("clip", static_cast<float>(k.clip)));
  if (k.op == "LSTM") attributes.push_back(int_attribute("input_forget", k.coupled ? 1 : 0));
  if (k.op == "GRU")
    attributes.push_back(int_attribute("linear_before_reset", k.reset_last ? 1 : 0));
  if (k.steep) {
    Message which = Message().text(1, "activations").number(20, 8);
    Message alpha = Message().text(1, "activation_alpha").number(20, 6);
    Message beta = Message().text(1, "activation_beta").number(20, 6);
    for (int64_t d = 0; d < k.directions; ++d) {
      which.text(9, "HardSigmoid").text(9, "Tanh");
      if (k.op == "LSTM") which.text(9, "tanh");
      alpha.f32(7, 0.3F), beta.f32(7, 0.4F);
    }
    attributes.insert(attributes.end(), {which, alpha, beta});
  }
  for (const std::string& name : results) g.output(name);
  g.node(node_message(k.op, names, results, attributes));
  out.model = model_message(g.m, 22);
  return out;
}

}  // namespace

TEST_CASE("recurrent ops follow the standard's equations for every attribute") {
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    const Case k = random_case(random);
    CAPTURE(i);
    CAPTURE(k.op);
    const Built built = build(k);
    Session session(parse(built.model), simd());
    const std::vector<Value> got = session.run(built.inputs);
    const auto want = expected(k);
    double worst = 0;
    for (size_t o = 0; o < got.size(); ++o) {
      const Tensor& t = got[o].known.numbers;
      REQUIRE(t.size() == std::ssize(want[o]));
      for (int64_t e = 0; e < t.size(); ++e)
        worst = std::max(worst, std::abs(t.at(e) - want[o][static_cast<size_t>(e)]));
    }
    CHECK(worst < 1e-5);
  }
}

}  // namespace lathe::onnx
