#include "frontend/nn.h"

#include <algorithm>

#include "frontend/random.h"
#include "ir/base/hash.h"

namespace lathe::nn {
namespace {

// Counts the draws of all dropout layers; one step of training is one value.
constexpr std::string_view kRandomStep = "random_step";
// No parameter of a network on one machine is larger; a corrupt configuration may ask for one.
constexpr int64_t kMaxParameterElements = int64_t{1} << 31;

}  // namespace

Network::Network(std::string name, Mode mode, uint64_t seed)
    : graph_(std::move(name)), mode_(mode), seed_(seed) {}

Network::Scope::Scope(Network& net, std::string_view kind, const std::string& name)
    : net_(net), name_(name) {
  if (name_.empty()) {
    const int n = net.kinds_[std::string(kind)]++;
    name_ = n == 0 ? std::string(kind) : fmt::format("{}_{}", kind, n);
  }
  net.graph_.set_current_name(name_);
}

Network::Scope::~Scope() { net_.graph_.set_current_name({}); }

Expr Network::add_input(const std::string& name, TensorType type, InputRole role) {
  if (!input_names_.insert(name).second)
    fail("network '{}' has two inputs or weights called '{}'", graph_.name(), name);
  return lathe::input(graph_, name, std::move(type), role);
}

Expr Network::input(const std::string& name, DType dtype, Shape shape) {
  return add_input(name, {dtype, std::move(shape)}, InputRole::Data);
}

Expr Network::weight(const std::string& layer, const std::string& name, const Dims& dims,
                     InputRole role, std::function<Tensor(const std::string&)> initial) {
  const std::string full_name = layer + "/" + name;
  int64_t elements = 1;
  for (int64_t d : dims) {
    if (d <= 0)
      fail("layer '{}': {} would have the shape [{}]; dimensions must be positive", layer, name,
           Shape(dims).text());
    if (d > kMaxParameterElements / elements)
      fail("layer '{}': {} would have the shape [{}], more than {} elements", layer, name,
           Shape(dims).text(), kMaxParameterElements);
    elements *= d;
  }
  const TensorType type{DType::f32, Shape(dims)};
  if (const auto it = weights_.find(full_name); it != weights_.end()) {
    if (it->second.value.type() != type || it->second.role != role)
      fail("layer '{}' is used again, but its {} would be {} and was {}", layer, name, type.text(),
           it->second.value.type().text());
    return it->second.value;
  }
  const int index = static_cast<int>(graph_.inputs().size());
  const Expr value = add_input(full_name, type, role);
  weights_[full_name] = {value, role, index, layer, [=] { return initial(full_name); }};
  weight_order_.push_back(full_name);
  return value;
}

Expr Network::parameter(const std::string& layer, const std::string& name, const Dims& dims,
                        const Initializer& initializer, bool trainable) {
  // What is not to be trained is a state that nothing updates.
  const InputRole role = trainable ? InputRole::Parameter : InputRole::State;
  check_initializer(initializer, dims, layer + "/" + name);
  return weight(layer, name, dims, role, [=, seed = seed_](const std::string& full_name) {
    return initialize(initializer, dims, seed, full_name);
  });
}

Expr Network::state(const std::string& layer, const std::string& name, const Dims& dims,
                    const Initializer& initializer) {
  return parameter(layer, name, dims, initializer, false);
}

void Network::update(const std::string& weight, const Expr& value) {
  if (!updates_.emplace(weight, value).second)
    fail("'{}' would be updated twice: a layer with state is used once in training", weight);
}

// Of the step, under a key of this draw's own.
Expr Network::random_words(const std::string& layer, const Shape& shape) {
  const std::string step_name(kRandomStep);
  if (!weights_.contains(step_name)) {
    const int index = static_cast<int>(graph_.inputs().size());
    const Expr step = add_input(step_name, {DType::u64, {}}, InputRole::State);
    weights_[step_name] = {step, InputRole::State, index, "",
                           [] { return Tensor::zeros(DType::u64, {}); }};
    update(step_name, step + 1.0);
  }
  Hasher h;
  h.add(seed_);
  h.add(std::string_view(layer));
  h.add(draws_++);
  return lathe::random_words(weights_.at(step_name).value, static_cast<uint32_t>(h.value()), shape);
}

Expr Network::dropped(const Expr& x, double rate, const Dims& shared_axes,
                      const std::string& layer) {
  if (!(rate >= 0 && rate < 1)) fail("layer '{}': dropout rate {} is not in [0, 1)", layer, rate);
  if (mode_ == Mode::Inference || rate == 0) return x;
  std::vector<Dim> dims = x.shape().dims();
  for (int64_t axis : shared_axes) {
    if (axis < 0 || axis >= x.rank())
      fail("layer '{}': dropout shares axis {} of rank {}", layer, axis, x.rank());
    dims[static_cast<size_t>(axis)] = 1;
  }
  const Expr words = random_words(layer, Shape(dims));
  const auto threshold = static_cast<uint64_t>(rate * 0x1p32);
  const Expr limit =
      broadcast_to(constant(graph_, Tensor::scalar<uint64_t>(threshold)), words.shape());
  const TensorType factor{x.dtype(), words.shape()};
  return x *
         select(lt(words, limit), full(graph_, factor, 0), full(graph_, factor, 1 / (1 - rate)));
}

Expr Network::mask(const Expr& x) const {
  const auto it = masks_.find(x.value);
  return it == masks_.end() ? Expr{} : it->second;
}

void Network::set_mask(const Expr& x, const Expr& mask) {
  if (mask.defined()) masks_[x.value] = mask;
  else masks_.erase(x.value);
}

Expr Network::carry_mask(const Expr& from, const Expr& to) {
  if (from.value != to.value) set_mask(to, mask(from));
  return to;
}

std::vector<std::string> Network::weights_of(const std::string& layer) const {
  std::vector<std::string> out;
  for (const std::string& name : weight_order_)
    if (const std::string& owner = weights_.at(name).layer;
        owner == layer || owner.starts_with(layer + "/"))
      out.push_back(name);
  return out;
}

void Network::set_weight(const std::string& name, const Tensor& value) {
  const auto it = weights_.find(name);
  if (it == weights_.end()) fail("network '{}' has no weight '{}'", graph_.name(), name);
  const TensorType& type = it->second.value.type();
  if (value.dtype() != type.dtype || value.dims() != type.shape.static_dims())
    fail("weight '{}' is {}, but {} was expected", name, value.type_text(), type.text());
  values_[name] = value;
}

Model Network::finish(const std::vector<Expr>& outputs,
                      const std::vector<std::string>& names) const {
  LATHE_ASSERT(names.empty() || names.size() == outputs.size());
  Model model{graph_, {}};
  for (size_t i = 0; i < outputs.size(); ++i)
    model.graph.add_output(names.empty() ? fmt::format("output_{}", i) : names[i],
                           outputs[i].value);
  for (const auto& [name, value] : updates_)
    model.graph.add_output(name, value.value, weights_.at(name).input);
  for (const auto& [name, weight] : weights_) {
    const auto given = values_.find(name);
    if (given == values_.end()) model.weights.set_initial(name, weight.initial);
    else model.weights.set(name, given->second);
  }
  return model;
}

}  // namespace lathe::nn
