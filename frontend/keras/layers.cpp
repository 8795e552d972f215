#include "frontend/keras/layers.h"

#include "runtime/json.h"

namespace lathe {
namespace {

Expr build_embedding(const KerasLayerArgs& a) {
  KerasOptions& o = a.options;
  return a.net.embedding(
      a.x(), o.integer("input_dim"), o.integer("output_dim"),
      {.mask_zero = o.flag("mask_zero", false),
       .embeddings = o.initializer("embeddings_initializer", init::random_uniform()),
       .trainable = o.trainable(),
       .name = o.name()});
}

Expr build_dense(const KerasLayerArgs& a) {
  KerasOptions& o = a.options;
  return a.net.dense(a.x(), o.integer("units"),
                     {.activation = o.activation("activation", nn::Activation::Linear),
                      .use_bias = o.flag("use_bias", true),
                      .kernel = o.initializer("kernel_initializer", init::glorot_uniform()),
                      .bias = o.initializer("bias_initializer", init::zeros()),
                      .trainable = o.trainable(),
                      .name = o.name()});
}

// Keras' generators are not ours: a seed cannot give the same numbers and is left alone.
Expr build_dropout(const KerasLayerArgs& a) {
  a.options.refuse("noise_shape");
  return a.net.dropout(a.x(), a.options.number("rate"), {.name = a.options.name()});
}

Expr build_spatial_dropout(const KerasLayerArgs& a) {
  return a.net.dropout(a.x(), a.options.number("rate"),
                       {.shared_axes = {1}, .name = a.options.name()});
}

Expr build_noise(const KerasLayerArgs& a) {
  a.options.number("stddev");
  if (a.options.mode() == nn::Mode::Training)
    fail_unsupported("{}: noise in training", a.options.place());
  return a.net.activation(a.x(), nn::Activation::Linear, a.options.name());
}

Expr build_activation(const KerasLayerArgs& a) {
  return a.net.activation(a.x(), a.options.activation("activation", nn::Activation::Linear),
                          a.options.name());
}

Expr build_relu(const KerasLayerArgs& a) {
  KerasOptions& o = a.options;
  o.refuse("threshold");
  const double slope = o.number("negative_slope", 0);
  const nlohmann::json* limit = o.raw("max_value");
  const double top = limit == nullptr ? 0 : o.number("max_value");
  return a.net.apply(
      a.x(),
      [&](const Expr& x) {
        const Expr y = slope == 0 ? nn::relu(x) : nn::leaky_relu(x, slope);
        return limit == nullptr ? y : min(y, top);
      },
      o.name());
}

Expr build_leaky_relu(const KerasLayerArgs& a) {
  // Keras 2 called it alpha.
  const double slope = a.options.number("negative_slope", a.options.number("alpha", 0.3));
  return a.net.apply(
      a.x(), [&](const Expr& x) { return nn::leaky_relu(x, slope); }, a.options.name());
}

Expr build_elu(const KerasLayerArgs& a) {
  const double alpha = a.options.number("alpha", 1);
  return a.net.apply(a.x(), [&](const Expr& x) { return nn::elu(x, alpha); }, a.options.name());
}

Expr build_softmax(const KerasLayerArgs& a) {
  const Dims axes = a.options.integers("axis", Dims{-1});
  const int rank = a.x().rank();
  if (axes.size() != 1 || axes[0] < -rank || axes[0] >= rank)
    fail_unsupported("{}: softmax over axis ({}) of {}", a.options.place(), Shape(axes).text(),
                     a.x().type().text());
  const int64_t axis = axes[0] < 0 ? axes[0] + rank : axes[0];
  return a.net.apply(
      a.x(), [&](const Expr& x) { return nn::softmax(x, {axis}); }, a.options.name());
}

Expr build_batch_normalization(const KerasLayerArgs& a) {
  KerasOptions& o = a.options;
  const Dims axes = o.integers("axis", Dims{-1});
  if (axes.size() != 1)
    fail_unsupported("{}: normalisation over axes ({})", o.place(), Shape(axes).text());
  o.refuse("synchronized");
  o.refuse("renorm");
  return a.net.batch_normalization(
      a.x(), {.axis = axes[0],
              .momentum = o.number("momentum", 0.99),
              .epsilon = o.number("epsilon", 1e-3),
              .center = o.flag("center", true),
              .scale = o.flag("scale", true),
              .beta = o.initializer("beta_initializer", init::zeros()),
              .gamma = o.initializer("gamma_initializer", init::ones()),
              .moving_mean = o.initializer("moving_mean_initializer", init::zeros()),
              .moving_variance = o.initializer("moving_variance_initializer", init::ones()),
              .trainable = o.trainable(),
              .name = o.name()});
}

Expr build_layer_normalization(const KerasLayerArgs& a) {
  KerasOptions& o = a.options;
  const Dims axes = o.integers("axis", Dims{-1});
  if (axes.size() != 1 || (axes[0] != -1 && axes[0] != a.x().rank() - 1))
    fail_unsupported("{}: normalisation over axes ({}) of {}", o.place(), Shape(axes).text(),
                     a.x().type().text());
  o.refuse("rms_scaling");
  return a.net.layer_normalization(a.x(),
                                   {.epsilon = o.number("epsilon", 1e-3),
                                    .center = o.flag("center", true),
                                    .scale = o.flag("scale", true),
                                    .beta = o.initializer("beta_initializer", init::zeros()),
                                    .gamma = o.initializer("gamma_initializer", init::ones()),
                                    .trainable = o.trainable(),
                                    .name = o.name()});
}

Expr build_flatten(const KerasLayerArgs& a) {
  return a.net.flatten(a.x(), a.options.layout(), a.options.name());
}

Expr build_reshape(const KerasLayerArgs& a) {
  return a.net.reshape(a.x(), a.options.integers("target_shape"), a.options.name());
}

Expr build_concatenate(const KerasLayerArgs& a) {
  return a.net.concatenate(a.inputs, a.options.integer("axis", -1), a.options.name());
}

Expr build_add(const KerasLayerArgs& a) { return a.net.add(a.inputs, a.options.name()); }

// The operator that Keras 3 writes beside an Embedding with mask_zero: tokens != 0.
Expr build_not_equal(const KerasLayerArgs& a) {
  if (a.numbers.size() != 1 || a.inputs.size() != 1)
    fail_unsupported("{}: anything but a tensor and a number", a.options.place());
  return logical_not(eq(a.x(), a.numbers[0]));
}

constexpr KerasLayerClass kBasic[] = {
    {"Embedding", build_embedding},
    {"Dense", build_dense},
    {"Dropout", build_dropout},
    {"SpatialDropout1D", build_spatial_dropout},
    {"GaussianNoise", build_noise},
    {"Activation", build_activation},
    {"ReLU", build_relu},
    {"LeakyReLU", build_leaky_relu},
    {"ELU", build_elu},
    {"Softmax", build_softmax},
    {"BatchNormalization", build_batch_normalization},
    {"BatchNormalizationV1", build_batch_normalization},
    {"LayerNormalization", build_layer_normalization},
    {"Flatten", build_flatten},
    {"Reshape", build_reshape},
    {"Concatenate", build_concatenate, true},
    {"Add", build_add, true},
    {"NotEqual", build_not_equal},
};

const KerasLayerClass* find_class(std::string_view name) {
  for (const auto& family :
       {keras_basic_layers(), keras_recurrent_layers(), keras_spatial_layers()})
    for (const KerasLayerClass& c : family)
      if (c.name == name) return &c;
  return nullptr;
}

}  // namespace

std::span<const KerasLayerClass> keras_basic_layers() { return kBasic; }

Expr build_keras_layer(nn::Network& net, const KerasLayer& layer, const KerasConfig& config,
                       const std::vector<Expr>& inputs, const std::vector<double>& numbers) {
  const KerasLayerClass* c = find_class(layer.class_name);
  if (c == nullptr)
    fail_unsupported("{}: layer {} is of class {}, which is not supported", config.file,
                     quote_text(layer.name), quote_text(layer.class_name));
  KerasOptions options(layer, config.file, config.keras_3, net.mode());
  if (inputs.empty() || (inputs.size() != 1 && !c->many_inputs))
    fail("{}: {} inputs are given, {} expected", options.place(), inputs.size(),
         c->many_inputs ? "at least one was" : "one was");
  if (!numbers.empty() && layer.class_name != "NotEqual")
    fail_unsupported("{}: the argument {} of its call", options.place(), numbers[0]);
  try {
    const Expr y = c->build({net, options, inputs, numbers});
    options.finish();
    return y;
  } catch (const Error& e) {
    const std::string message = e.what();
    if (message.starts_with(config.file)) throw;
    throw Error(e.kind(), fmt::format("{}: {}", config.file, message));
  }
}

}  // namespace lathe
