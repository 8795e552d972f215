// lathe train: fits a classifier of texts.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "frontend/keras/config.h"
#include "frontend/keras/weights.h"
#include "frontend/optimizers.h"
#include "runtime/train/progress.h"
#include "tools/classifier.h"
#include "tools/cli.h"
#include "tools/train_options.h"

namespace lathe::tools {
namespace {

// Everything a training needs besides its data, decided before anything is computed.
struct Setup {
  train::Run run;                // without labels and vocabulary where it is new
  train::Checkpoint checkpoint;  // empty where it is new
  bool resumed = false;
  Model training, inference;
  TextSignature signature;
};

std::string model_json(const std::string& path) {
  const KerasFile file = read_keras_file(path);
  if (file.config_json.empty())
    fail("{}: holds weights only; expected a model's configuration", path);
  return file.config_json;
}

Setup set_up(const TrainArguments& a) {
  Setup s;
  s.run.model_json = model_json(a.model);
  if (a.resume && train::is_run_folder(a.out)) {
    const train::Run former = train::read_run(a.out);
    if (former.model_json != s.run.model_json)
      fail("{}: was trained from another model than {}", a.out, a.model);
    s.run = former;
    s.run.config = resumed_config(a, former.config);
    s.checkpoint = train::read_checkpoint(a.out);
    s.resumed = true;
  } else if (a.resume) {
    fmt::print(stderr, "{}: no run to resume yet; it begins with epoch 1\n", a.out);
  }
  const uint64_t seed = s.resumed ? s.run.config.training.fit.seed : a.seed.value_or(0);
  s.training = load_model(a.model, nn::Mode::Training, seed).model;
  s.inference = load_model(a.model, nn::Mode::Inference, seed).model;
  const int64_t length = fixed_length(s.inference.graph, a.model);
  if (!s.resumed) {
    const train::TextOptions defaults;
    const int64_t maxlen = a.maxlen.value_or(length > 0 ? length : defaults.maxlen);
    s.signature = text_signature(s.inference.graph, maxlen, a.model);
    s.run.config = new_config(a, {length, embedding_rows(a.model), default_loss(s.signature)});
  }
  s.signature = text_signature(s.inference.graph, s.run.config.text.maxlen, a.model);
  return s;
}

// Learns labels and vocabulary, or checks that a resumed run gets the data it had.
void adopt_data(Setup& s, const TrainArguments& a, const data::LabelledTexts& texts) {
  const auto count = std::ssize(texts.examples);
  if (!s.resumed) {
    s.run.config.labels = data::LabelMap::learn(texts, s.signature.classes).names();
    s.run.vocabulary = data::build_vocabulary(texts, s.run.config.text.vocab);
    s.run.config.training.examples = count;
  } else if (count != s.run.config.training.examples) {
    fail("{}: {} examples, but {} was trained with {}", a.data, count, a.out,
         s.run.config.training.examples);
  }
}

// All parameters and states of the step: the checkpoint's, else the model's and zeros.
train::TensorStore make_store(const Setup& s, const Graph& step) {
  train::TensorStore store = s.checkpoint.store;
  if (!s.resumed)
    for (const auto& [name, tensor] : s.training.weights.all()) store[name] = tensor.clone();
  for (const GraphInput& in : step.inputs())
    if (in.role != InputRole::Data)
      train::add_state(store, {in.name, in.type.dtype, in.type.shape.static_dims()});
  return store;
}

train::TensorStore model_part(const train::TensorStore& store, const Model& inference) {
  train::TensorStore out;
  for (const GraphInput& in : inference.graph.inputs())
    if (in.role != InputRole::Data) out[in.name] = store.at(in.name);
  return out;
}

void print_summary(const TrainArguments& a, const std::vector<train::EpochRecord>& history) {
  const train::EpochRecord& best = *train::best_epoch(history);
  if (!a.json) {
    fmt::print("{}: epoch {} kept, ", a.out, best.epoch);
    if (best.validation)
      fmt::print("val_loss {:.4f}, val_accuracy {:.4f}\n", best.validation->loss,
                 best.validation->accuracy);
    else fmt::print("loss {:.4f}, accuracy {:.4f}\n", best.training.loss, best.training.accuracy);
    return;
  }
  nlohmann::ordered_json json = {{"run", a.out},
                                 {"epochs", history.size()},
                                 {"best_epoch", best.epoch},
                                 {"loss", best.training.loss},
                                 {"accuracy", best.training.accuracy}};
  if (best.validation) {
    json["val_loss"] = best.validation->loss;
    json["val_accuracy"] = best.validation->accuracy;
  }
  fmt::print("{}\n", json.dump());
}

void fit_and_save(const TrainArguments& a, Setup& s, const EncodedTexts& training,
                  const std::optional<EncodedTexts>& validation) {
  const train::RunConfig& config = s.run.config;
  TrainingSpec spec = training_spec(s.training.graph, find_objective(config.training.loss));
  spec.optimizer = find_optimizer(config.training.optimizer);
  const Graph step = train_step(s.training.graph, spec);
  train::TensorStore store = make_store(s, step);
  const CompileOptions options = shared_options(a.compute, s.signature.length);
  StepFamily train_steps(step, s.signature.batch, options);
  StepFamily evaluation_steps(evaluation_step(s.inference.graph, spec), s.signature.batch, options);

  train::RunWriter writer(a.out);
  train::Progress progress(stderr, config.training.fit.epochs, train::may_move(stderr));
  train::FitObserver observer = progress.observer();
  std::vector<train::EpochRecord> history = s.checkpoint.history;
  bool saved = s.resumed;
  observer.on_epoch = [&, show = observer.on_epoch](const train::EpochRecord& r, bool best) {
    show(r, best);
    const train::TensorStore kept = model_part(store, s.inference);
    if (!saved) writer.save(s.run, {store, history}, kept);
    else writer.save({store, history}, best ? &kept : nullptr);
    saved = true;
  };
  std::optional<train::Examples> held_out;
  if (validation) held_out = validation->examples(config.text, s.signature.labels);
  train::fit(training.examples(config.text, s.signature.labels), held_out, train_steps.function(),
             evaluation_steps.function(), store, history, config.training.fit, observer);
  print_summary(a, history);
}

int run(const TrainArguments& a) {
  Setup s = set_up(a);
  const data::LabelledTexts texts = read_texts(a.data, data::Split::Train);
  adopt_data(s, a, texts);
  const data::LabelMap labels(s.run.config.labels);
  const auto encoded = [&](const data::LabelledTexts& t) {
    return EncodedTexts{data::encode(
        t, labels, [&](std::string_view text) { return s.run.vocabulary.encode(text); })};
  };
  const EncodedTexts training = encoded(texts);
  std::optional<EncodedTexts> validation;
  if (!a.eval.empty()) validation = encoded(read_texts(a.eval, data::Split::Test));
  fmt::print(stderr, "{} examples, {} words, classes: {}\n", training.dataset.size(),
             s.run.vocabulary.size(), fmt::join(labels.names(), ", "));
  fit_and_save(a, s, training, validation);
  return kDone;
}

Action setup(OptionList& options) {
  const auto a = std::make_shared<TrainArguments>();
  constexpr int64_t most = int64_t{1} << 40;
  options.add("MODEL", a->model, "Keras configuration (.json), .keras or .h5").required();
  options.add("--data", a->data, "Table of texts and labels (.tsv, .csv, .gz) or folder")
      .called("FILE")
      .required();
  options.add("--eval", a->eval, "The same, held out: chooses the epoch that is kept")
      .called("FILE");
  options.add("-o,--output", a->out, "Folder of the run, made where it is not there")
      .called("RUN")
      .required();
  options.add("--maxlen", a->maxlen, "Tokens of a text (default: the model's, else 200)")
      .in_range(int64_t{1}, int64_t{1} << 24);
  options.add("--vocab", a->vocab, "Most words (default: the model's, else 10000)")
      .in_range(int64_t{3}, int64_t{1} << 30);
  options.add("--epochs", a->epochs, "Passes over the data (default: 2)")
      .in_range(int64_t{1}, most);
  options.add("--batch", a->batch, "Examples a step (default: 32)").in_range(int64_t{1}, most);
  options.add("--seed", a->seed, "Of initial weights, order and dropout (default: 0)");
  options.add("--optimizer", a->optimizer, "Default: adam")
      .one_of(optimizer_names(), Case::Ignored);
  options.add("--lr", a->learning_rate, "Learning rate (default: 0.001)").positive();
  options
      .add("--loss", a->loss,
           "Default: bce, or for more than two classes "
           "sparse_categorical_crossentropy")
      .one_of(objective_names());
  options.flag("--resume", a->resume, "Go on after the last epoch of the run in RUN");
  add_compute_options(options, a->compute);
  add_wait_option(options, a->compute);
  options.flag("--json", a->json, "One JSON object instead of the last line");
  return [a] { return run(*a); };
}

}  // namespace

const Verb kTrain = {"train", "Fit a classifier of texts, with checkpoints",
                     "lathe train model.json --data train.tsv --eval test.tsv --epochs 4 -o run/",
                     setup};

}  // namespace lathe::tools
