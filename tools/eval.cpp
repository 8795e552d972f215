// lathe eval: loss and accuracy of a classifier on labelled texts.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/cli.h"
#include "tools/text_model.h"

namespace lathe::tools {
namespace {

struct Options {
  std::string model, data;
  TextArguments text;
  std::optional<int64_t> limit;
  Compute compute;
  bool json = false;
};

// Tables are often sorted by label; a score of their first part then means little.
void tell_one_class(const data::LabelledTexts& texts) {
  const auto& all = texts.examples;
  if (std::ranges::all_of(all, [&](const auto& e) { return e.label == all[0].label; }))
    fmt::print(stderr, "{}: the first {} texts are all labelled '{}'\n", texts.path, all.size(),
               all[0].label);
}

int run(const Options& o) {
  const TextModel model = load_text_model(o.model, o.text);
  const TrainingSpec spec = training_spec(model.file.model.graph, find_objective(model.loss));
  data::LabelledTexts data = read_texts(o.data, data::Split::Test);
  const data::LabelMap labels = labels_for(model, data);  // of all, however few are scored
  if (o.limit && *o.limit < std::ssize(data.examples))
    data.examples.resize(static_cast<size_t>(*o.limit));
  if (o.limit) tell_one_class(data);
  const EncodedTexts texts{data::encode(data, labels, model.encode)};
  StepFamily steps(evaluation_step(model.file.model.graph, spec), model.signature.batch,
                   shared_options(o.compute, model.signature.length));
  train::TensorStore store = model.file.model.weights.all();
  const train::Metrics m = train::evaluate(texts.examples(model.text, model.signature.labels),
                                           model.batch, steps.function(), store);
  if (o.json)
    fmt::print("{}\n",
               nlohmann::ordered_json{
                   {"loss", m.loss}, {"accuracy", m.accuracy}, {"examples", texts.dataset.size()}}
                   .dump());
  else
    fmt::print("loss {:.6f}\naccuracy {:.6f}\nexamples {}\n", m.loss, m.accuracy,
               texts.dataset.size());
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  add_text_model_options(options, o->model, o->text);
  options.add("--data", o->data, "Table of texts and labels (.tsv, .csv, .gz) or folder")
      .called("FILE")
      .required();
  options.add("--limit", o->limit, "Score the first N texts only")
      .in_range(int64_t{1}, int64_t{1} << 40);
  add_compute_options(options, o->compute);
  add_wait_option(options, o->compute);
  options.flag("--json", o->json, "One JSON object");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kEval = {"eval", "Loss and accuracy of a classifier on labelled texts",
                    "lathe eval run/ --data test.tsv\n"
                    "  lathe eval model.h5 --word-index tokenizer.json --data test.tsv",
                    setup};

}  // namespace lathe::tools
