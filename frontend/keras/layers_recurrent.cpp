#include "frontend/keras/layers.h"
#include "runtime/json.h"

namespace lathe {
namespace {

nn::RecurrentOptions recurrent_options(KerasOptions& o) {
  o.refuse("return_state");
  o.refuse("stateful");
  o.refuse("time_major");
  o.refuse("recurrent_dropout");
  o.refuse("zero_output_for_mask");
  // Ways of computing the same.
  for (const char* key : {"unroll", "implementation", "use_cudnn"}) o.ignore(key);
  return {.return_sequences = o.flag("return_sequences", false),
          .go_backwards = o.flag("go_backwards", false),
          .activation = o.activation("activation", nn::Activation::Tanh),
          .recurrent_activation = o.activation("recurrent_activation", nn::Activation::Sigmoid),
          .use_bias = o.flag("use_bias", true),
          .unit_forget_bias = o.flag("unit_forget_bias", true),
          .reset_after = o.flag("reset_after", true),
          .dropout = o.number("dropout", 0),
          .kernel = o.initializer("kernel_initializer", init::glorot_uniform()),
          .recurrent_kernel = o.initializer("recurrent_initializer", init::orthogonal()),
          .bias = o.initializer("bias_initializer", init::zeros()),
          .trainable = o.trainable(),
          .name = o.name()};
}

using Recurrent = Expr (nn::Network::*)(const Expr&, int64_t, const nn::RecurrentOptions&);

template <Recurrent layer>
Expr build_recurrent(const KerasLayerArgs& a) {
  const nn::RecurrentOptions options = recurrent_options(a.options);
  return (a.net.*layer)(a.x(), a.options.integer("units"), options);
}

struct Cell {
  std::string_view name;
  Recurrent layer;
};
constexpr Cell kCells[] = {{"LSTM", &nn::Network::lstm},
                           {"GRU", &nn::Network::gru},
                           {"SimpleRNN", &nn::Network::simple_rnn}};

// A layer inside a wrapper, its name below the wrapper's.
KerasLayer wrapped_layer(const KerasLayerArgs& a, const nlohmann::json& serialized,
                         const std::string& direction) {
  const std::string place = a.options.place() + ": layer";
  KerasLayer layer;
  layer.class_name = json_text(json_member(serialized, "class_name", place), place + ".class_name");
  layer.config = json_object(json_member(serialized, "config", place), place + ".config");
  layer.name = a.options.name() + "/" + direction;
  return layer;
}

Expr merge(const KerasLayerArgs& a, const Expr& forward, const Expr& backward) {
  const std::string mode = a.options.text("merge_mode", "concat");
  if (mode == "concat") return concat({forward, backward}, forward.rank() - 1);
  if (mode == "sum") return forward + backward;
  if (mode == "mul") return forward * backward;
  if (mode == "ave") return (forward + backward) * 0.5;
  fail_unsupported("{}: merge_mode {}", a.options.place(), quote_text(mode));
}

Expr build_bidirectional(const KerasLayerArgs& a) {
  const nlohmann::json* inner = a.options.raw("layer");
  if (inner == nullptr) fail("{}: option 'layer' is missing", a.options.place());
  const nlohmann::json* other = a.options.raw("backward_layer");
  const auto direction = [&](const nlohmann::json& serialized, bool backward) {
    const KerasLayer layer = wrapped_layer(a, serialized, backward ? "backward" : "forward");
    for (const Cell& cell : kCells) {
      if (cell.name != layer.class_name) continue;
      KerasOptions options(layer, a.options.file(), a.options.keras_3(), a.options.mode());
      nn::RecurrentOptions o = recurrent_options(options);
      // Without a layer of its own, the second direction is the first one turned round.
      if (backward && other == nullptr) o.go_backwards = !o.go_backwards;
      o.trainable = o.trainable && a.options.trainable();
      const Expr y = (a.net.*cell.layer)(a.x(), options.integer("units"), o);
      options.finish();
      return backward && o.return_sequences ? reverse(y, 1) : y;
    }
    fail_unsupported("{}: the wrapped layer is of class {}", a.options.place(),
                     quote_text(layer.class_name));
  };
  const Expr forward = direction(*inner, false);
  const Expr y = merge(a, forward, direction(other == nullptr ? *inner : *other, true));
  a.net.set_mask(y, a.net.mask(forward));
  return y;
}

constexpr KerasLayerClass kRecurrent[] = {
    {"LSTM", build_recurrent<&nn::Network::lstm>},
    {"GRU", build_recurrent<&nn::Network::gru>},
    {"SimpleRNN", build_recurrent<&nn::Network::simple_rnn>},
    {"Bidirectional", build_bidirectional},
};

}  // namespace

std::span<const KerasLayerClass> keras_recurrent_layers() { return kRecurrent; }

}  // namespace lathe
