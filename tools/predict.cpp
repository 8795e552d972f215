// lathe predict: a run's answers to texts.
#include <nlohmann/json.hpp>

#include "tools/classifier.h"
#include "tools/cli.h"

namespace lathe::tools {
namespace {

constexpr int64_t kBatch = 32;

struct Options {
  std::string run;
  std::vector<std::string> texts;
  Compute compute;
  bool json = false;
};

struct Answer {
  int label = 0;
  double probability = 0;
};

// Row `row` of the model's answers: of two classes the probability of the second, or one for each.
Answer answer_of(const Tensor& answers, int64_t row) {
  const int64_t columns = answers.dims().at(1);
  if (columns == 1) {
    const double second = answers.at(row);
    return second >= 0.5 ? Answer{1, second} : Answer{0, 1 - second};
  }
  Answer best{0, answers.at(row * columns)};
  for (int64_t c = 1; c < columns; ++c)
    if (answers.at(row * columns + c) > best.probability)
      best = {static_cast<int>(c), answers.at(row * columns + c)};
  return best;
}

std::vector<Answer> ask(const train::Run& run, const ModelFile& file, const Options& o) {
  const TextSignature signature = text_signature(file.model.graph, run.config.text.maxlen, o.run);
  if (std::ssize(run.config.labels) != signature.classes)
    fail("{}: {} labels, but the model tells {} classes apart", o.run, run.config.labels.size(),
         signature.classes);
  const GraphInput input = data_inputs(file.model.graph).at(0);
  StepFamily family(file.model.graph, signature.batch, shared_options(o.compute, signature.length));
  std::vector<Answer> answers;
  for (size_t begin = 0; begin < o.texts.size(); begin += kBatch) {
    std::vector<std::vector<int32_t>> tokens;
    for (size_t i = begin; i < std::min(begin + kBatch, o.texts.size()); ++i)
      tokens.push_back(run.vocabulary.encode(o.texts[i]));
    const Tensor batch = data::pad_sequences(tokens, run.config.text.maxlen, run.config.text.pad);
    Executable& executable = family.of_size(std::ssize(tokens));
    const std::vector<Tensor> results =
        executable.run(arguments(executable.inputs(), file.model.weights,
                                 {{input.name, converted(batch, input.type.dtype)}}));
    for (int64_t row = 0; row < std::ssize(tokens); ++row)
      answers.push_back(answer_of(results[0], row));
  }
  return answers;
}

int run(const Options& o) {
  const train::Run run = train::read_run(o.run);
  const ModelFile file = load_model(o.run);
  const std::vector<Answer> answers = ask(run, file, o);
  nlohmann::ordered_json json = {{"answers", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string& label = run.config.labels[static_cast<size_t>(answers[i].label)];
    if (o.json)
      json["answers"].push_back(
          {{"text", o.texts[i]}, {"label", label}, {"probability", answers[i].probability}});
    else fmt::print("{}\t{:.4f}\n", label, answers[i].probability);
  }
  if (o.json)
    fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("RUN", o->run, "Folder that `lathe train` wrote").required();
  options.add("TEXT", o->texts, "Texts to answer, a line of label and probability for each")
      .required();
  add_compute_options(options, o->compute);
  options.flag("--json", o->json, "One JSON object");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kPredict = {"predict", "A run's answers to texts",
                       "lathe predict run/ \"我喜欢编程\" \"A waste of an evening.\"", setup};

}  // namespace lathe::tools
