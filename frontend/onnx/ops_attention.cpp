// Attention: softmax(scale Q K' + bias) V over heads, and its relatives.
#include <cmath>
#include <limits>

#include "frontend/nn/activation.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// [batch, length, heads * size] as [batch, heads, length, size].
Expr split_heads(const Expr& x, int64_t heads) {
  const Dims dims = x.shape().static_dims();
  if (dims.size() != 3 || heads < 1 || dims[2] % heads != 0)
    fail("{} is not [batch, length, {} heads of one size]", x.type().text(), heads);
  return transpose(reshape(x, Shape{dims[0], dims[1], heads, dims[2] / heads}), {0, 2, 1, 3});
}

Expr merge_heads(const Expr& x) {
  const Dims dims = x.shape().static_dims();
  return reshape(transpose(x, {0, 2, 1, 3}), Shape{dims[0], dims[2], dims[1] * dims[3]});
}

// Products of x [batch, q heads, n, ..] with the head of y [batch, kv heads, ..] that it shares
// with its neighbours: axis `of_x` of x against axis `of_y` of y.
Expr product_of_heads(const Expr& x, int64_t of_x, const Expr& y, int64_t of_y, DType result) {
  Dims dims = x.shape().static_dims();
  const int64_t heads = dims[1], shared = y.shape()[1].value();
  if (shared == 0 || heads % shared != 0)
    fail("{} query heads do not share {} heads of keys and values", heads, shared);
  Dims apart = dims;
  apart[1] = heads / shared;
  apart.insert(apart.begin() + 1, shared);
  const Expr out = dot_general(reshape(x, Shape(apart)), y,
                               {.lhs_batch = {0, 1},
                                .rhs_batch = {0, 1},
                                .lhs_contract = {of_x + 1},
                                .rhs_contract = {of_y},
                                .dtype = result});
  Dims merged = out.shape().static_dims();
  merged.erase(merged.begin() + 1);
  merged[1] = heads;
  return reshape(out, Shape(merged));
}

// The type that softmax is computed in: the tensors' own or the attribute's, float at least.
DType softmax_type(OpContext& c) {
  const DType own = c.dtype(0);
  const auto named = static_cast<ElemType>(c.attr_int("softmax_precision", 0));
  const bool wide = own == DType::f64 || named == ElemType::Double;
  return wide ? DType::f64 : DType::f32;
}

// --- Attention -----------------------------------------------------------------------------------

struct Heads {
  Expr q, k, v;  // [batch, heads, length, size], k and v with what came before them
  int64_t past = 0;
  bool merged = false;  // the inputs and the result have their heads side by side
  int64_t queries() const { return q.shape()[2].value(); }
  int64_t keys() const { return k.shape()[2].value(); }
};

Heads read_heads(OpContext& c) {
  Heads h{c.expr(0), c.expr(1), c.expr(2), 0, c.rank(0) == 3};
  if (h.merged) {
    const int64_t q_heads = c.attr_int("q_num_heads"), heads = c.attr_int("kv_num_heads");
    h.q = split_heads(h.q, q_heads);
    h.k = split_heads(h.k, heads), h.v = split_heads(h.v, heads);
  }
  c.ignore({"q_num_heads", "kv_num_heads"});
  for (const Expr* e : {&h.q, &h.k, &h.v})
    if (e->rank() != 4)
      fail("Q, K and V are {}, {} and {}; three or four axes were expected", c.input(0).signature(),
           c.input(1).signature(), c.input(2).signature());
  if (c.has(4) != c.has(5)) fail("past_key and past_value belong together");
  if (c.has(4)) {
    if (c.rank(4) != 4 || c.rank(5) != 4)
      fail("past_key and past_value are {} and {}; four axes were expected", c.input(4).signature(),
           c.input(5).signature());
    h.past = c.expr(4).shape()[2].value();
    h.k = concat({c.expr(4), h.k}, 2);
    h.v = concat({c.expr(5), h.v}, 2);
  }
  return h;
}

// 0 where `allowed`, -infinity elsewhere.
Expr mask_bias(const Expr& allowed, DType type) {
  const TensorType t{type, allowed.shape()};
  return select(allowed, full(*allowed.graph, t, 0), full(*allowed.graph, t, -kInfinity));
}

// What is added to the scores, in some shape that broadcasts to theirs; undefined where nothing is.
Expr score_bias(OpContext& c, const Heads& h, DType type) {
  Graph& g = c.graph();
  Expr bias;
  const auto add_bias = [&](const Expr& e) { bias = bias.defined() ? bias + e : e; };
  if (c.has(3)) {
    Expr mask = c.expr(3);
    if (mask.rank() < 1) fail("the mask is {}, keys were expected", mask.type().text());
    mask = mask.dtype() == DType::boolean ? mask_bias(mask, type) : cast(mask, type);
    const int64_t missing = h.keys() - mask.shape()[mask.rank() - 1].value();
    if (missing > 0) {  // keys that a mask does not mention are hidden
      std::vector<Dim> low(static_cast<size_t>(mask.rank()), Dim(0)), high = low;
      high.back() = Dim(missing);
      mask = pad(mask, -kInfinity, low, high);
    }
    add_bias(mask);
  }
  const bool counted = c.version() >= 24 && c.has(6);
  const auto lengths = [&] {  // [batch, 1, 1, 1]
    const Expr n = cast(c.expr(6), DType::i64);
    return reshape(n, Shape{n.shape().element_count(), 1, 1, 1});
  };
  if (c.attr_int("is_causal", 0) != 0) {
    // A query sees the keys up to its own place, which is counted from the first or, where the
    // keys are padded, from the last of them.
    const Shape places{1, 1, h.queries(), h.keys()};
    Expr last = iota(g, DType::i64, places, 2);
    if (counted && !c.has(4)) last = last + (lengths() - static_cast<double>(h.queries()));
    else last = last + static_cast<double>(h.past);
    add_bias(mask_bias(le(iota(g, DType::i64, places, 3), last), type));
  }
  if (counted)
    add_bias(mask_bias(lt(iota(g, DType::i64, Shape{1, 1, 1, h.keys()}, 3), lengths()), type));
  return bias;
}

// Over the last axis; rows that the bias hides whole are zero.
Expr masked_softmax(const Expr& scores, const Expr& bias) {
  const Dims last = {scores.rank() - 1};
  if (!bias.defined()) return nn::softmax(scores, last);
  const Expr most = keep_axes(reduce_max(bias, {bias.rank() - 1}), {bias.rank() - 1});
  const Expr hidden = eq(most, -kInfinity);
  const Expr top = keep_axes(stop_gradient(reduce_max(scores, last)), last);
  const Expr e = exp(scores - select(hidden, full_like(top, 0), top));
  const Expr sum = keep_axes(reduce_sum(e, last), last);
  return e / select(hidden, full_like(sum, 1), sum);
}

void attention(OpContext& c) {
  const Heads h = read_heads(c);
  const DType type = softmax_type(c), out = c.dtype(0);
  const auto size = static_cast<double>(h.q.shape()[3].value());
  const double scale = c.attr_float("scale", 1 / std::sqrt(size));
  const double softcap = c.attr_float("softcap", 0);
  const int64_t mode = c.attr_int("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3) fail("qk_matmul_output_mode is {}, 0 to 3 was expected", mode);
  const Expr raw = product_of_heads(h.q, 3, h.k, 3, type) * scale;
  const Expr capped = softcap > 0 ? tanh(raw / softcap) * softcap : raw;
  const Expr bias = score_bias(c, h, type);
  const Expr scores = bias.defined() ? capped + bias : capped;
  const Expr shares = masked_softmax(scores, bias);
  const Expr y = cast(product_of_heads(shares, 3, cast(h.v, type), 2, type), out);
  c.out(0, h.merged ? merge_heads(y) : y);
  if (c.wants(1)) c.out(1, h.k);
  if (c.wants(2)) c.out(2, h.v);
  const Expr shown[] = {raw, capped, scores, shares};
  if (c.wants(3)) c.out(3, cast(shown[mode], out));
}

// --- FlexAttention -------------------------------------------------------------------------------

// The one result of a subgraph.
Expr modified(OpContext& c, const std::vector<Value>& results, std::string_view subgraph) {
  if (results.size() != 1) fail("{} gives {} results; one was expected", subgraph, results.size());
  return c.expr(results[0]);
}

// Scores and shares go through subgraphs, where there are such, in between.
void flex_result(OpContext& c, const std::vector<Value>& saved, const std::vector<Value>& shares) {
  const Expr p = modified(c, shares, "prob_mod"), v = c.expr(saved.at(0));
  c.out(cast(product_of_heads(p, 3, cast(v, p.dtype()), 2, p.dtype()), c.dtype(0)));
}

void flex_shares(OpContext& c, const std::vector<Value>& saved, const std::vector<Value>& scores) {
  const Expr p = nn::softmax(modified(c, scores, "score_mod"), {3});
  const Value value = Value::of(p, elem_of(p.dtype()));
  if (!c.has_attribute("prob_mod")) return flex_result(c, saved, {value});
  c.expand(c.attr_graph("prob_mod"), {value}, {flex_result, saved});
}

void flex_attention(OpContext& c) {
  c.ignore({"prob_mod"});  // until there are shares
  const Expr q = c.expr(0), k = c.expr(1);
  if (q.rank() != 4 || k.rank() != 4 || c.rank(2) != 4)
    fail("Q, K and V are {}, {} and {}; four axes were expected", c.input(0).signature(),
         c.input(1).signature(), c.input(2).signature());
  const DType type = softmax_type(c);
  const auto size = static_cast<double>(q.shape()[3].value());
  const double scale = c.attr_float("scale", 1 / std::sqrt(size));
  const Expr scores = product_of_heads(q, 3, k, 3, type) * scale;
  const Value value = Value::of(scores, elem_of(type));
  if (!c.has_attribute("score_mod")) return flex_shares(c, {c.input(2)}, {value});
  c.expand(c.attr_graph("score_mod"), {value}, {flex_shares, {c.input(2)}});
}

// --- LinearAttention -----------------------------------------------------------------------------

// A state of one matrix [key size, value size] for each head, which every step decays, corrects and
// adds to. Computed in float.
void linear_attention(OpContext& c) {
  c.ignore({"chunk_size"});  // how others split the work
  const int64_t q_heads = c.attr_int("q_num_heads"), heads = c.attr_int("kv_num_heads");
  const std::string rule = c.attr_text("update_rule", "gated_delta");
  const bool gated = rule == "gated" || rule == "gated_delta";
  const bool corrects = rule == "delta" || rule == "gated_delta";
  if (!gated && !corrects && rule != "linear")
    fail("update_rule is '{}'; linear, gated, delta or gated_delta was expected", rule);
  if (heads < 1 || q_heads < 1 || q_heads % heads != 0)
    fail("{} query heads do not share {} heads of keys and values", q_heads, heads);
  for (const int input : {0, 1, 2, 4, 5})
    if ((input < 4 || c.has(input)) && c.rank(input) != 3)
      fail("input {} is {}; three axes were expected", input, c.input(input).signature());
  if (c.has(4) != gated)
    fail("decay {} update_rule '{}'", c.has(4) ? "is given to" : "lacks in", rule);
  if (c.has(5) != corrects)
    fail("beta {} update_rule '{}'", c.has(5) ? "is given to" : "lacks in", rule);
  if (c.has(6) && !corrects) fail("erase_gate is given to update_rule '{}'", rule);

  const Dims dims = c.dims(0);
  const int64_t batch = dims[0], time = dims[1], group = q_heads / heads;
  // [time, batch, heads.., size]
  const auto steps = [&](int input, Dims inner) {
    const Expr x = cast(c.expr(input), DType::f32);
    inner.insert(inner.begin(), {batch, time});
    if (element_count(inner) != x.shape().element_count())
      fail("input {} is {}, [{}] was expected", input, c.input(input).signature(),
           Shape(inner).text());
    Dims perm = range(0, std::ssize(inner));
    std::swap(perm[0], perm[1]);
    return transpose(reshape(x, Shape(inner)), perm);
  };
  const int64_t key = dims[2] / q_heads, value = c.dims(2)[2] / heads;
  std::vector<Expr> scanned = {steps(0, {heads, group, key}), steps(1, {heads, key}),
                               steps(2, {heads, value})};
  if (gated) {
    const int64_t each = c.dims(4)[2] == heads ? 1 : key;
    scanned.push_back(exp(steps(4, {heads, each, 1})));
  }
  if (corrects) scanned.push_back(steps(5, {c.dims(5)[2] == 1 ? 1 : heads, 1}));
  if (c.has(6)) scanned.push_back(steps(6, {heads, key}));
  const double given = c.attr_float("scale", 0);
  const double scale = given != 0 ? given : 1 / std::sqrt(static_cast<double>(key));
  const TensorType state_type{DType::f32, Shape{batch, heads, key, value}};
  const Expr initial = c.has(3) ? cast(c.expr(3), DType::f32) : full(c.graph(), state_type, 0);
  if (!(initial.type() == state_type))
    fail("past_state is {}, {} was expected", c.input(3).signature(), state_type.text());

  auto body = std::make_shared<Graph>("step");
  Expr state = input(*body, "state", state_type);
  std::vector<Expr> now;
  for (const Expr& e : scanned) {
    Dims step = e.shape().static_dims();
    step.erase(step.begin());
    now.push_back(input(*body, fmt::format("x{}", now.size()), {DType::f32, Shape(step)}));
  }
  const auto reads = [&](const Expr& x, const Expr& s) {  // x's last axis against the state's rows
    return dot_general(x, s,
                       {.lhs_batch = {0, 1},
                        .rhs_batch = {0, 1},
                        .lhs_contract = {x.rank() - 1},
                        .rhs_contract = {2},
                        .dtype = DType::f32});
  };
  if (gated) state = state * now[3];
  Expr written = now[2];
  if (corrects) {
    const Expr erased = c.has(6) ? now.back() * now[1] : now[1];
    written = now[gated ? 4 : 3] * (written - reads(erased, state));
  }
  state = state + expand_dims(now[1], 3) * expand_dims(written, 2);
  body->add_output("state", state.value);
  body->add_output("y", (reads(now[0], state) * scale).value);
  const std::vector<Expr> out = scan(c.graph(), body, {initial}, scanned, {}, Dim(time));

  const Expr y = transpose(out[1], {1, 0, 2, 3, 4});
  c.out(0, cast(reshape(y, Shape{batch, time, q_heads * value}), c.dtype(0)));
  if (c.wants(1)) c.out(1, cast(out[0], c.dtype(c.has(3) ? 3 : 0)));
}

// --- Neighbours of attention in models -----------------------------------------------------------

// A convolution over time of each channel by itself, which sees the last inputs of the run before.
void causal_conv(OpContext& c) {
  const std::string activation = c.attr_text("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish")
    fail("activation is '{}'; none, silu or swish was expected", activation);
  const Expr x = c.expr(0);
  const Dims w = c.dims(1);
  if (x.rank() != 3 || w.size() != 3 || w[0] != c.dims(0)[1] || w[1] != 1 || w[2] < 1)
    fail(
        "input is {} and weight {}; [batch, channels, length] and [channels, 1, taps] were "
        "expected",
        c.input(0).signature(), c.input(1).signature());
  const int64_t taps = w[2], channels = w[0];
  Expr padded = x;
  if (c.has(3)) padded = concat({c.expr(3), x}, 2);
  else if (taps > 1) padded = pad(x, 0, {0, 0, taps - 1}, {0, 0, 0});
  const Expr seen = windows(widened(padded), {{taps}, {1}, {1}, {0}, {0}});
  const Expr weight = reshape(widened(c.expr(1)), Shape{channels, 1, taps});
  Expr y = reduce_sum(seen * weight, {3});
  if (c.has(2)) y = y + reshape(widened(c.expr(2)), Shape{channels, 1});
  if (activation != "none") y = y * sigmoid(y);
  c.out(0, cast(y, x.dtype()));
  if (c.wants(1)) {
    const int64_t all = padded.shape()[2].value();
    c.out(1, slice_axis(padded, 2, all - (taps - 1), taps - 1));
  }
}

// Pairs of a head's first elements turned by the angles of their place: neighbours (interleaved),
// or one of each half.
void rotary_embedding(OpContext& c) {
  Expr x = widened(c.expr(0));
  const Shape shape = x.shape();
  const bool merged = x.rank() == 3, interleaved = c.attr_int("interleaved", 0) != 0;
  const int64_t heads = c.attr_int("num_heads", 0);
  if (merged) {
    const Dims dims = shape.static_dims();
    if (heads < 1 || dims[2] % heads != 0)
      fail("{} does not split into num_heads = {}", c.input(0).signature(), heads);
    x = reshape(x, Shape{dims[0], dims[1], heads, dims[2] / heads});
  }
  if (x.rank() != 4) fail("X is {}; three or four axes were expected", c.input(0).signature());
  const int64_t size = x.shape()[3].value();
  int64_t turned = c.attr_int("rotary_embedding_dim", 0);
  if (turned == 0) turned = size;
  if (turned < 0 || turned > size || turned % 2 != 0)
    fail("rotary_embedding_dim is {} of {}", turned, size);
  const auto angle = [&](int input) {  // [batch, length, pairs] beside the axis of the heads
    Expr e = widened(c.expr(input));
    if (c.has(3)) e = gather(e, c.expr(3), 0);
    if (e.rank() != 3 || e.shape()[2].value() != turned / 2)
      fail("input {} is {} for {} pairs", input, c.input(input).signature(), turned / 2);
    return expand_dims(e, merged ? 2 : 1);
  };
  const Expr cosine = angle(1), sine = angle(2);
  const auto part = [&](int64_t from, int64_t count, int64_t stride) {
    const Dims d = x.shape().static_dims();
    return slice(x, {0, 0, 0, from}, {d[0], d[1], d[2], count}, {1, 1, 1, stride});
  };
  const int64_t half = turned / 2, stride = interleaved ? 2 : 1;
  const Expr a = part(0, half, stride), b = part(interleaved ? 1 : half, half, stride);
  const Expr left = cosine * a - sine * b, right = sine * a + cosine * b;
  Expr y = interleaved ? concat({expand_dims(left, 4), expand_dims(right, 4)}, 4)
                       : concat({left, right}, 3);
  if (interleaved) {
    Dims d = x.shape().static_dims();
    d[3] = turned;
    y = reshape(y, Shape(d));
  }
  if (turned < size) y = concat({y, part(turned, size - turned, 1)}, 3);
  c.out(cast(reshape(y, shape), c.dtype(0)));
}

constexpr OpRow kRows[] = {
    {"Attention", 23, attention},
    {"CausalConvWithState", 27, causal_conv},
    {"LinearAttention", 27, linear_attention},
    {"RotaryEmbedding", 23, rotary_embedding},
};

constexpr OpRow kPreviewRows[] = {
    {"FlexAttention", 1, flex_attention},
};

}  // namespace

std::span<const OpRow> attention_rows() { return kRows; }
std::span<const OpRow> preview_rows() { return kPreviewRows; }

}  // namespace lathe::onnx
