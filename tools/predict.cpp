// lathe predict: a classifier's answers to texts.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tools/cli.h"
#include "tools/text_model.h"

namespace lathe::tools {
namespace {

struct Options {
  std::string model;
  TextArguments text;
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

std::string label_of(const TextModel& model, int id) {
  return model.labels.empty() ? std::to_string(id) : model.labels[static_cast<size_t>(id)];
}

int run(const Options& o) {
  const TextModel model = load_text_model(o.model, o.text);
  StepFamily steps = answer_steps(model, o.compute);
  const Tensor answers = ask(model, o.texts, steps);
  nlohmann::ordered_json json = {{"answers", nlohmann::ordered_json::array()}};
  for (int64_t row = 0; row < answers.dims()[0]; ++row) {
    const Answer answer = answer_of(answers, row);
    const std::string label = label_of(model, answer.label);
    if (o.json)
      json["answers"].push_back({{"text", o.texts[static_cast<size_t>(row)]},
                                 {"label", label},
                                 {"probability", answer.probability}});
    else fmt::print("{}\t{:.4f}\n", label, answer.probability);
  }
  if (o.json)
    fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::fflush(stdout);  // before what was begun for later runs is finished
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  add_text_model_options(options, o->model, o->text);
  options.add("TEXT", o->texts, "Texts to answer, a line of label and probability for each")
      .required();
  add_compute_options(options, o->compute);
  add_wait_option(options, o->compute);
  options.flag("--json", o->json, "One JSON object");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kPredict = {"predict", "A classifier's answers to texts",
                       "lathe predict run/ \"我喜欢编程\" \"A waste of an evening.\"\n"
                       "  lathe predict model.h5 --word-index tokenizer.json \"Not bad at all.\"",
                       setup};

}  // namespace lathe::tools
