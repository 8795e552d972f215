#include "tools/classifier.h"

#include <algorithm>
#include <cstdio>

#include "frontend/keras/config.h"
#include "frontend/keras/weights.h"
#include "passes/rebuild.h"

namespace lathe::tools {
namespace {

const GraphInput& tokens_input(const Graph& g, const std::string& place) {
  const GraphInput* found = nullptr;
  for (const GraphInput& in : g.inputs()) {
    if (in.role != InputRole::Data) continue;
    if (found != nullptr)
      fail("{}: the inputs '{}' and '{}'; a classifier of text has one", place, found->name,
           in.name);
    found = &in;
  }
  if (found == nullptr) fail("{}: no input; a classifier of text has one", place);
  return *found;
}

}  // namespace

StepFamily::StepFamily(Graph graph, std::string batch, CompileOptions options)
    : graph_(std::move(graph)), batch_(std::move(batch)), options_(std::move(options)) {}

StepFamily::~StepFamily() {
  for (const auto& [batch, executable] : executables_) executable->wait_for_kernels();
}

Executable& StepFamily::of_size(int64_t batch) {
  std::unique_ptr<Executable>& slot = executables_[batch];
  if (!slot) {
    CompileOptions options = options_;
    options.dims[batch_] = batch;
    slot = compile(graph_, options);
  }
  return *slot;
}

int64_t fixed_length(const Graph& g, const std::string& place) {
  const Shape& shape = tokens_input(g, place).type.shape;
  return shape.rank() == 2 && shape[1].is_static() ? shape[1].value() : 0;
}

int64_t embedding_rows(const std::string& path) {
  if (path.ends_with(".gir")) return 0;  // has constants only
  const KerasFile file = read_keras_file(path);
  if (file.config_json.empty()) return 0;
  int64_t rows = 0;
  for (const KerasLayer& layer : parse_keras_config(file.config_json, path).layers)
    if (layer.class_name == "Embedding" && layer.config.contains("input_dim") &&
        layer.config["input_dim"].is_number_integer()) {
      const auto n = layer.config["input_dim"].get<int64_t>();
      rows = rows == 0 ? n : std::min(rows, n);
    }
  return rows;
}

TextSignature text_signature(const Graph& g, int64_t maxlen, const std::string& place) {
  const GraphInput& in = tokens_input(g, place);
  const Shape& shape = in.type.shape;
  TextSignature out;
  if (shape.rank() != 2 || shape[0].is_static() || !is_integer(in.type.dtype))
    fail("{}: input '{}' is {}, expected tokens, i32[batch, length] with a free batch", place,
         in.name, in.type.text());
  out.batch = shape[0].text();
  if (!shape[1].is_static()) out.length[shape[1].text()] = maxlen;
  else if (shape[1].value() != maxlen)
    fail("{}: input '{}' is {}, so texts have {} tokens, not --maxlen {}", place, in.name,
         in.type.text(), shape[1].value(), maxlen);
  if (g.outputs().empty()) fail("{}: the model has no output", place);
  const TensorType& answer = g.type(g.outputs()[0].value);
  if (answer.rank() != 2 || !answer.shape[1].is_static() || !is_float(answer.dtype))
    fail("{}: the output is {}, expected a probability for each class, f32[batch, classes]", place,
         answer.text());
  const int64_t columns = answer.shape[1].value();
  out.classes = columns == 1 ? 2 : static_cast<int>(columns);
  out.labels = columns == 1 ? data::LabelForm::Binary : data::LabelForm::ClassIds;
  return out;
}

CompileOptions shared_options(const Compute& compute, const DimBinding& dims) {
  CompileOptions o = compile_options(compute, dims);
  o.pool = std::make_shared<ThreadPool>(o.threads);
  return o;
}

std::string default_loss(const TextSignature& signature) {
  return signature.labels == data::LabelForm::Binary ? "bce" : "sparse_categorical_crossentropy";
}

TrainingSpec training_spec(const Graph& model, const Objective& objective) {
  const TensorType& prediction = model.type(model.outputs().at(0).value);
  TrainingSpec spec;
  spec.loss = objective.loss;
  spec.accuracy = objective.accuracy;
  spec.target = objective.target(prediction);
  const bool binary = prediction.shape[1] == Dim(1);
  if (!binary && spec.target.rank() != 1)
    fail(
        "the loss {} takes targets {}, but the data has class ids; try "
        "sparse_categorical_crossentropy",
        objective.name, spec.target.text());
  if (binary && spec.target.shape != prediction.shape)
    fail(
        "the loss {} takes targets {}, but the model answers with one probability; try "
        "binary_crossentropy",
        objective.name, spec.target.text());
  return spec;
}

train::Examples EncodedTexts::examples(const train::TextOptions& text, data::LabelForm form) const {
  return {dataset.size(), data::text_batches(dataset, text.maxlen, form, text.pad)};
}

data::LabelledTexts read_texts(const std::string& path, data::Split split) {
  data::LabelledTexts texts = data::read_labelled_texts(path, split);
  if (texts.replaced > 0)
    fmt::print(stderr, "{}: {} bytes were not valid UTF-8 and became U+FFFD\n", path,
               texts.replaced);
  return texts;
}

}  // namespace lathe::tools
