#include "frontend/keras/build.h"

#include <map>
#include <set>

#include "frontend/keras/layers.h"
#include "ir/base/convert.h"
#include "runtime/json.h"

namespace lathe {
namespace {

using nlohmann::json;
using CallId = std::pair<std::string, int64_t>;  // layer, call

Dim free_dim(size_t axis, size_t rank) {
  if (axis == 0) return Dim::symbol("batch");
  if (rank == 4 && axis == 1) return Dim::symbol("height");
  if (rank == 4 && axis == 2) return Dim::symbol("width");
  return Dim::symbol(axis == 1 ? "length" : fmt::format("dim_{}", axis));
}

Shape input_shape(const json& value, const std::string& place) {
  std::vector<Dim> dims;
  const size_t rank = json_array(value, place).size();
  if (rank == 0 || rank > 8) fail("{} has {} axes, 1 to 8 were expected", place, rank);
  for (const json& d : value) {
    if (d.is_null() || dims.empty()) {
      dims.push_back(free_dim(dims.size(), rank));
      continue;
    }
    const int64_t size = json_integer(d, place);
    if (size < 1 || size > (int64_t{1} << 31))
      fail("{} has the dimension {}, a positive number or null was expected", place, size);
    dims.emplace_back(size);
  }
  return Shape(std::move(dims));
}

DType input_dtype(const KerasLayer& layer, const std::string& place) {
  const auto it = layer.config.find("dtype");
  if (it == layer.config.end() || it->is_null()) return DType::f32;
  json value = *it;
  if (value.is_object() && value.contains("config") && value["config"].is_object())
    value = value["config"].value("name", json());
  if (value == json("float32")) return DType::f32;
  if (value == json("int32")) return DType::i32;
  if (value == json("int64")) return DType::i64;
  fail_unsupported("{}: inputs of dtype {}; float32, int32 and int64 are known", place,
                   json_excerpt(value));
}

// Layers that some call reads from `layer`.
bool only_embeddings_read(const KerasConfig& config, const std::string& layer) {
  bool read = false;
  for (const KerasLayer& reader : config.layers)
    for (const KerasCall& call : reader.calls)
      for (const KerasTensor& t : call.inputs)
        if (t.layer == layer) {
          read = true;
          if (reader.class_name != "Embedding" && reader.class_name != "NotEqual") return false;
        }
  for (const KerasTensor& t : config.outputs)
    if (t.layer == layer) return false;
  return read;
}

// Builds calls as soon as all that they read is there.
class Builder {
 public:
  Builder(nn::Network& net, const KerasConfig& config) : net_(net), config_(config) {}

  KerasOutputs run() {
    for (const KerasLayer& layer : config_.layers) {
      if (layer.class_name == "InputLayer") add_input(layer);
      for (size_t i = 0; i < layer.calls.size(); ++i) wait(layer, i);
    }
    for (size_t done = 0; done < ready_.size(); ++done)
      build(*ready_[done].first, ready_[done].second);
    KerasOutputs out;
    std::set<std::string> used;
    for (const KerasTensor& t : config_.outputs) {
      out.values.push_back(value(t));
      std::string name = t.layer;
      for (int n = 1; !used.insert(name).second; ++n) name = fmt::format("{}_{}", t.layer, n);
      out.names.push_back(name);
    }
    return out;
  }

 private:
  using Call = std::pair<const KerasLayer*, size_t>;

  static CallId id(const KerasTensor& t) { return {t.layer, t.call}; }
  std::string place(const KerasLayer& layer) const {
    return fmt::format("{}: layer {}", config_.file, quote_text(layer.name));
  }

  void add_input(const KerasLayer& layer) {
    const json* shape = nullptr;
    for (const char* key : {"batch_shape", "batch_input_shape"})
      if (layer.config.contains(key)) shape = &layer.config[key];
    if (shape == nullptr) fail("{}: \"batch_shape\" is missing", place(layer));
    for (const char* key : {"sparse", "ragged"})
      if (layer.config.contains(key) && layer.config[key] == json(true))
        fail_unsupported("{}: {} inputs", place(layer), key);
    const DType dtype = input_dtype(layer, place(layer));
    const bool tokens = dtype == DType::f32 && only_embeddings_read(config_, layer.name);
    give({layer.name, 0}, net_.input(layer.name, tokens ? DType::i32 : dtype,
                                     input_shape(*shape, place(layer) + ": batch_shape")));
  }

  std::vector<KerasTensor> reads(const Call& call) const {
    const KerasCall& c = call.first->calls[call.second];
    std::vector<KerasTensor> out = c.inputs;
    if (c.mask) out.push_back(*c.mask);
    return out;
  }

  void wait(const KerasLayer& layer, size_t number) {
    const Call call = {&layer, number};
    std::set<CallId> needed;
    for (const KerasTensor& t : reads(call))
      if (!values_.contains(id(t))) needed.insert(id(t));
    missing_[call] = needed.size();
    for (const CallId& n : needed) waiting_[n].push_back(call);
    if (needed.empty()) ready_.push_back(call);
  }

  void give(const CallId& produced, const Expr& value) {
    values_[produced] = value;
    for (const Call& call : waiting_[produced])
      if (--missing_[call] == 0) ready_.push_back(call);
    waiting_.erase(produced);
  }

  void build(const KerasLayer& layer, size_t number) {
    const KerasCall& call = layer.calls[number];
    std::vector<Expr> inputs;
    for (const KerasTensor& t : call.inputs) inputs.push_back(value(t));
    if (call.mask && !inputs.empty()) net_.set_mask(inputs[0], value(*call.mask));
    give({layer.name, static_cast<int64_t>(number)},
         build_keras_layer(net_, layer, config_, inputs, call.numbers));
  }

  Expr value(const KerasTensor& t) const {
    const auto it = values_.find(id(t));
    if (it == values_.end())
      fail(
          "{}: the output of call {} of layer {} is used, but there is no such call, or it depends "
          "on itself",
          config_.file, t.call, quote_text(t.layer));
    if (t.tensor != 0)
      fail("{}: output {} of layer {} is used, which has one", config_.file, t.tensor,
           quote_text(t.layer));
    return it->second;
  }

  nn::Network& net_;
  const KerasConfig& config_;
  std::map<CallId, Expr> values_;
  std::map<CallId, std::vector<Call>> waiting_;
  std::map<Call, size_t> missing_;
  std::vector<Call> ready_;
};

Tensor as_f32(const Tensor& t) {
  return is_float(t.dtype()) ? converted(t, DType::f32) : t;
}

}  // namespace

KerasOutputs build_keras_network(nn::Network& net, const KerasConfig& config) {
  return Builder(net, config).run();
}

void set_keras_weights(nn::Network& net, const KerasConfig& config, const KerasFile& file) {
  std::vector<KerasLayerId> ids;
  for (const KerasLayer& layer : config.layers) ids.push_back({layer.name, layer.class_name});
  for (const KerasLayerWeights& stored : match_weights(ids, file)) {
    const std::vector<std::string> names = net.weights_of(stored.layer_name);
    if (names.size() != stored.weights.size())
      fail("{}: layer {} has {} weights in the file, {} were expected", file.path,
           quote_text(stored.layer_name), stored.weights.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i) try {
        net.set_weight(names[i], as_f32(stored.weights[i].tensor));
      } catch (const Error& e) {
        throw Error(e.kind(), fmt::format("{}: {}", file.path, e.what()));
      }
  }
}

}  // namespace lathe
