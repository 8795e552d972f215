// Recurrent layers: the inputs' products for all steps at once, then a scan over time that adds the
// recurrent product and runs the cell.
#include "frontend/nn.h"

namespace lathe::nn {
namespace {

// Keeps the products below from overflowing; how many there may really be, weights say.
void check_units(int64_t units, const std::string& layer) {
  if (units < 1 || units > (int64_t{1} << 31))
    fail("layer '{}' has {} units, a positive number was expected", layer, units);
}

// Columns [index*units, +units) of [batch, n*units].
Expr gate(const Expr& z, int64_t index, int64_t units) {
  return slice_axis(z, 1, index * units, units);
}

// The inputs of a region that stand for one step of the values given.
std::vector<Expr> step_inputs(Graph& body, std::string_view prefix, const std::vector<Expr>& values,
                              bool scanned) {
  std::vector<Expr> out;
  for (size_t i = 0; i < values.size(); ++i) {
    TensorType type = values[i].type();
    if (scanned) type.shape = Shape(std::vector<Dim>(type.shape.begin() + 1, type.shape.end()));
    out.push_back(input(body, fmt::format("{}{}", prefix, i), std::move(type)));
  }
  return out;
}

}  // namespace

// x @ kernel for all steps, time first: [time, batch, columns].
Expr Network::project(const Expr& x, const std::string& layer, int64_t columns,
                      const RecurrentOptions& o) {
  if (x.rank() != 3 || !x.shape()[2].is_static())
    fail("layer '{}': the input is {}, [batch, time, features] was expected", layer,
         x.type().text());
  const int64_t features = x.shape()[2].value();
  const Expr in = dropped(x, o.dropout, {1}, layer);
  const Expr kernel = parameter(layer, "kernel", {features, columns}, o.kernel, o.trainable);
  return transpose(matmul(in, kernel), {1, 0, 2});
}

// Runs `step` over projected [time, batch, ..] from carries of zeros [batch, units]. x is the
// layer's input, whose mask is obeyed.
Expr Network::recur(const Expr& x, const Expr& projected, int carries, int64_t units,
                    const std::vector<Expr>& constants, const RecurrentOptions& o,
                    const Step& step) {
  const Dim time = projected.shape()[0], batch = projected.shape()[1];
  const std::vector<Expr> initial(static_cast<size_t>(carries),
                                  full(graph_, {x.dtype(), Shape{batch, units}}, 0));
  std::vector<Expr> scanned = {projected};
  const Expr steps = mask(x);
  if (steps.defined()) scanned.push_back(transpose(steps, {1, 0}));

  auto body = std::make_shared<Graph>("step");
  const std::vector<Expr> old = step_inputs(*body, "carry", initial, false);
  const std::vector<Expr> now = step_inputs(*body, "x", scanned, true);
  const std::vector<Expr> fixed = step_inputs(*body, "weight", constants, false);
  std::vector<Expr> next = step(old, now[0], fixed);
  if (steps.defined())
    for (size_t i = 0; i < next.size(); ++i)
      next[i] = select(expand_dims(now[1], 1), next[i], old[i]);
  for (size_t i = 0; i < next.size(); ++i)
    body->add_output(fmt::format("carry{}", i), next[i].value);
  if (o.return_sequences) body->add_output("y", next[0].value);

  const std::vector<Expr> results =
      scan(graph_, body, initial, scanned, constants, time, o.go_backwards);
  if (!o.return_sequences) return results[0];
  const Expr outputs = results.back();
  const Expr y = transpose(o.go_backwards ? lathe::reverse(outputs, 0) : outputs, {1, 0, 2});
  set_mask(y, steps);
  return y;
}

// Gates in the order i, f, c, o.
Expr Network::lstm(const Expr& x, int64_t units, const RecurrentOptions& o) {
  const Scope scope(*this, "lstm", o.name);
  const std::string& layer = scope.name();
  check_units(units, layer);
  Expr projected = project(x, layer, 4 * units, o);
  const Expr recurrent =
      parameter(layer, "recurrent_kernel", {units, 4 * units}, o.recurrent_kernel, o.trainable);
  if (o.use_bias) {
    const InputRole role = o.trainable ? InputRole::Parameter : InputRole::State;
    check_initializer(o.bias, {4 * units}, layer + "/bias");
    const auto initial = [o, units, seed = seed_](const std::string& name) {
      Tensor bias = initialize(o.bias, {4 * units}, seed, name);
      for (int64_t i = units; o.unit_forget_bias && i < 2 * units; ++i) bias.set(i, 1);
      return bias;
    };
    projected = projected + weight(layer, "bias", {4 * units}, role, initial);
  }
  return recur(x, projected, 2, units, {recurrent}, o,
               [&](const std::vector<Expr>& carries, const Expr& xt,
                   const std::vector<Expr>& constants) -> std::vector<Expr> {
                 const Expr z = matmul(carries[0], constants[0]) + xt;
                 const Expr i = activate(o.recurrent_activation, gate(z, 0, units));
                 const Expr f = activate(o.recurrent_activation, gate(z, 1, units));
                 const Expr c = f * carries[1] + i * activate(o.activation, gate(z, 2, units));
                 const Expr out = activate(o.recurrent_activation, gate(z, 3, units));
                 return {out * activate(o.activation, c), c};
               });
}

// Gates in the order z (update), r (reset), h. With reset_after the bias is [2, 3*units]: one for
// the inputs, one for the recurrent product.
Expr Network::gru(const Expr& x, int64_t units, const RecurrentOptions& o) {
  const Scope scope(*this, "gru", o.name);
  const std::string& layer = scope.name();
  check_units(units, layer);
  Expr projected = project(x, layer, 3 * units, o);
  std::vector<Expr> constants = {
      parameter(layer, "recurrent_kernel", {units, 3 * units}, o.recurrent_kernel, o.trainable)};
  if (o.use_bias && o.reset_after) {
    const Expr bias = parameter(layer, "bias", {2, 3 * units}, o.bias, o.trainable);
    projected = projected + squeeze(slice_axis(bias, 0, 0, 1), 0);
    constants.push_back(squeeze(slice_axis(bias, 0, 1, 1), 0));
  } else if (o.use_bias) {
    projected = projected + parameter(layer, "bias", {3 * units}, o.bias, o.trainable);
  }
  return recur(x, projected, 1, units, constants, o,
               [&](const std::vector<Expr>& carries, const Expr& xt,
                   const std::vector<Expr>& fixed) -> std::vector<Expr> {
                 const Expr h = carries[0];
                 const auto recurrent = [&](const Expr& from, int64_t first, int64_t count) {
                   Expr y = matmul(from, slice_axis(fixed[0], 1, first * units, count * units));
                   if (fixed.size() > 1)
                     y = y + slice_axis(fixed[1], 0, first * units, count * units);
                   return y;
                 };
                 const Expr product = recurrent(h, 0, o.reset_after ? 3 : 2);
                 const Expr z =
                     activate(o.recurrent_activation, gate(xt, 0, units) + gate(product, 0, units));
                 const Expr r =
                     activate(o.recurrent_activation, gate(xt, 1, units) + gate(product, 1, units));
                 const Expr reset =
                     o.reset_after ? r * gate(product, 2, units) : recurrent(r * h, 2, 1);
                 const Expr candidate = activate(o.activation, gate(xt, 2, units) + reset);
                 return {z * h + (1.0 - z) * candidate};
               });
}

Expr Network::simple_rnn(const Expr& x, int64_t units, const RecurrentOptions& o) {
  const Scope scope(*this, "simple_rnn", o.name);
  const std::string& layer = scope.name();
  check_units(units, layer);
  Expr projected = project(x, layer, units, o);
  const Expr recurrent =
      parameter(layer, "recurrent_kernel", {units, units}, o.recurrent_kernel, o.trainable);
  if (o.use_bias) projected = projected + parameter(layer, "bias", {units}, o.bias, o.trainable);
  return recur(x, projected, 1, units, {recurrent}, o,
               [&](const std::vector<Expr>& carries, const Expr& xt,
                   const std::vector<Expr>& constants) -> std::vector<Expr> {
                 return {activate(o.activation, matmul(carries[0], constants[0]) + xt)};
               });
}

}  // namespace lathe::nn
