// Networks written layer by layer in C++, with Keras' meanings, defaults and weight layouts:
//
//   nn::Network net("reviews", nn::Mode::Training, seed);
//   Expr x = net.input("tokens", DType::i32, {Dim::symbol("batch"), Dim::symbol("length")});
//   Expr h = net.embedding(x, 10000, 128);
//   h = net.lstm(h, 128, {.return_sequences = true});
//   h = net.lstm(h, 64);
//   Model m = net.finish({net.dense(h, 1, {.activation = nn::Activation::Sigmoid})});
//
// Values are f32; axis 0 is the batch. Parameters are graph inputs named `<layer>/<weight>`. A
// layer without a name gets its kind's ("lstm", "lstm_1", ..); one given the name of an earlier
// layer of the same weights shares them. What cannot be built is a user error that names the layer.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "frontend/initializers.h"
#include "frontend/model.h"
#include "frontend/nn/activation.h"

namespace lathe::nn {

enum class Mode : uint8_t {
  Inference,  // dropout passes its input on, normalisation uses moving statistics
  Training,  // dropout draws, normalisation uses the batch; outputs after the model's update states
};

enum class Padding : uint8_t {
  Valid,
  Same,  // ceil(size / stride) outputs; an odd number of added elements puts one more at the end
};
enum class Layout : uint8_t { ChannelsLast, ChannelsFirst };

struct EmbeddingOptions {
  bool mask_zero = false;  // token 0 is padding: later layers skip its steps
  Initializer embeddings = init::random_uniform();
  bool trainable = true;
  std::string name = {};
};

struct DenseOptions {
  Activation activation = Activation::Linear;
  bool use_bias = true;
  Initializer kernel = init::glorot_uniform();
  Initializer bias = init::zeros();
  bool trainable = true;
  std::string name = {};
};

struct RecurrentOptions {
  bool return_sequences = false;  // [batch, time, units] instead of the last step's [batch, units]
  bool go_backwards = false;      // last step first, also in the sequence returned
  Activation activation = Activation::Tanh;
  Activation recurrent_activation = Activation::Sigmoid;
  bool use_bias = true;
  bool unit_forget_bias = true;  // lstm: ones are added to the forget gate's bias at first
  bool reset_after = true;       // gru: the reset gate acts after the recurrent product
  double dropout = 0;            // of the inputs, alike for all steps of a sequence
  Initializer kernel = init::glorot_uniform();
  Initializer recurrent_kernel = init::orthogonal();
  Initializer bias = init::zeros();
  bool trainable = true;
  std::string name = {};
};

struct ConvOptions {
  std::array<int64_t, 2> strides = {1, 1};
  Padding padding = Padding::Valid;
  Layout layout = Layout::ChannelsLast;
  std::array<int64_t, 2> dilation = {1, 1};
  int64_t groups = 1;
  Activation activation = Activation::Linear;
  bool use_bias = true;
  Initializer kernel = init::glorot_uniform();
  Initializer bias = init::zeros();
  bool trainable = true;
  std::string name = {};
};

struct PoolOptions {
  std::array<int64_t, 2> size = {2, 2};
  std::array<int64_t, 2> strides = {0, 0};  // 0: the size
  Padding padding = Padding::Valid;
  Layout layout = Layout::ChannelsLast;
  std::string name = {};
};

struct GlobalPoolOptions {
  Layout layout = Layout::ChannelsLast;
  bool keep_dims = false;
  std::string name = {};
};

struct DropoutOptions {
  Dims shared_axes = {};  // all elements along these axes are kept or dropped together
  std::string name = {};
};

struct BatchNormalizationOptions {
  int64_t axis = -1;
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool center = true, scale = true;
  Initializer beta = init::zeros(), gamma = init::ones();
  Initializer moving_mean = init::zeros(), moving_variance = init::ones();
  bool trainable = true;  // if not, moving statistics are used in training too
  std::string name = {};
};

struct LayerNormalizationOptions {
  double epsilon = 1e-3;
  bool center = true, scale = true;
  Initializer beta = init::zeros(), gamma = init::ones();
  bool trainable = true;
  std::string name = {};
};

class Network {
 public:
  Network(std::string name, Mode mode, uint64_t seed = 0);
  Network(const Network&) = delete;  // Exprs point into the graph
  Network& operator=(const Network&) = delete;

  Mode mode() const { return mode_; }
  Expr input(const std::string& name, DType dtype, Shape shape);

  // Integer or float tokens [..] give [.., output_dim]; floats are truncated.
  Expr embedding(const Expr& x, int64_t input_dim, int64_t output_dim,
                 const EmbeddingOptions& options = {});
  // Acts on the last axis.
  Expr dense(const Expr& x, int64_t units, const DenseOptions& options = {});

  // [batch, time, features]; steps whose mask is false leave state and output as they were.
  Expr lstm(const Expr& x, int64_t units, const RecurrentOptions& options = {});
  Expr gru(const Expr& x, int64_t units, const RecurrentOptions& options = {});
  Expr simple_rnn(const Expr& x, int64_t units, const RecurrentOptions& options = {});

  // Kernels are [height, width, channels / groups, filters] in either layout.
  Expr conv2d(const Expr& x, int64_t filters, std::array<int64_t, 2> kernel_size,
              const ConvOptions& options = {});
  Expr max_pooling_2d(const Expr& x, const PoolOptions& options = {});
  // Added elements do not count.
  Expr average_pooling_2d(const Expr& x, const PoolOptions& options = {});
  // Over all axes between batch and channels (1 to 3 of them). The average skips masked steps.
  Expr global_max_pooling(const Expr& x, const GlobalPoolOptions& options = {});
  Expr global_average_pooling(const Expr& x, const GlobalPoolOptions& options = {});

  Expr batch_normalization(const Expr& x, const BatchNormalizationOptions& options = {});
  Expr layer_normalization(const Expr& x, const LayerNormalizationOptions& options = {});
  // Zeroes elements with probability `rate` and scales the others by 1 / (1 - rate).
  Expr dropout(const Expr& x, double rate, const DropoutOptions& options = {});

  Expr activation(const Expr& x, Activation activation, const std::string& name = {});
  // An elementwise function under a layer's name; the mask stays.
  Expr apply(const Expr& x, const std::function<Expr(const Expr&)>& function,
             const std::string& name = {});
  Expr flatten(const Expr& x, Layout layout = Layout::ChannelsLast, const std::string& name = {});
  // `dims` are those after the batch; one may be -1.
  Expr reshape(const Expr& x, const Dims& dims, const std::string& name = {});
  Expr concatenate(const std::vector<Expr>& parts, int64_t axis = -1, const std::string& name = {});
  Expr add(const std::vector<Expr>& parts, const std::string& name = {});

  // Which steps of x [batch, time, ..] are real: bool [batch, time]; undefined where all are.
  Expr mask(const Expr& x) const;
  void set_mask(const Expr& x, const Expr& mask);

  // Names of the weights of the layer and of layers named below it ("<layer>/.."), in Keras' order:
  // trained ones as created, then states.
  std::vector<std::string> weights_of(const std::string& layer) const;
  // A value instead of the initialiser's. User error naming both types where they differ.
  void set_weight(const std::string& name, const Tensor& value);

  // The model of these outputs. Outputs are called `output_0`, ..
  // or as given.
  Model finish(const std::vector<Expr>& outputs, const std::vector<std::string>& names = {}) const;

 private:
  struct Weight {
    Expr value;
    InputRole role;
    int input;  // index among the graph's inputs
    std::string layer;
    std::function<Tensor()> initial;
  };
  // Names nodes after a layer while it lives.
  class Scope {
   public:
    Scope(Network& net, std::string_view kind, const std::string& name);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    const std::string& name() const { return name_; }

   private:
    Network& net_;
    std::string name_;
  };
  // One step of a recurrent cell: the new carries, the first of which is the output.
  using Step = std::function<std::vector<Expr>(const std::vector<Expr>& carries, const Expr& x,
                                               const std::vector<Expr>& constants)>;

  Expr add_input(const std::string& name, TensorType type, InputRole role);
  Expr weight(const std::string& layer, const std::string& name, const Dims& dims, InputRole role,
              std::function<Tensor(const std::string&)> initial);
  Expr parameter(const std::string& layer, const std::string& name, const Dims& dims,
                 const Initializer& initializer, bool trainable);
  Expr state(const std::string& layer, const std::string& name, const Dims& dims,
             const Initializer& initializer);
  void update(const std::string& weight, const Expr& value);
  Expr random_words(const std::string& layer, const Shape& shape);
  Expr dropped(const Expr& x, double rate, const Dims& shared_axes, const std::string& layer);
  Expr project(const Expr& x, const std::string& layer, int64_t columns,
               const RecurrentOptions& options);
  Expr recur(const Expr& x, const Expr& projected, int carries, int64_t units,
             const std::vector<Expr>& constants, const RecurrentOptions& options, const Step& step);
  Expr pool(const Expr& x, const PoolOptions& options, bool average, const std::string& layer);
  Expr carry_mask(const Expr& from, const Expr& to);

  Graph graph_;
  Mode mode_;
  uint64_t seed_;
  std::set<std::string> input_names_;
  std::map<std::string, int> kinds_;  // how many layers of a kind were named automatically
  std::map<std::string, Weight> weights_;
  std::vector<std::string> weight_order_;
  std::map<std::string, Tensor> values_;
  std::map<std::string, Expr> updates_;
  std::map<Value, Expr> masks_;
  uint64_t draws_ = 0;
};

}  // namespace lathe::nn
