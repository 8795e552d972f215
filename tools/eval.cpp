// lathe eval: loss and accuracy of a run on labelled texts.
#include <nlohmann/json.hpp>

#include "tools/classifier.h"
#include "tools/cli.h"

namespace lathe::tools {
namespace {

struct Options {
  std::string run, data;
  Compute compute;
  bool json = false;
};

int run(const Options& o) {
  const train::Run run = train::read_run(o.run);
  const ModelFile file = load_model(o.run);
  const TextSignature signature = text_signature(file.model.graph, run.config.text.maxlen, o.run);
  const TrainingSpec spec =
      training_spec(file.model.graph, find_objective(run.config.training.loss));
  const EncodedTexts texts = encode_texts(read_texts(o.data, data::Split::Test),
                                          data::LabelMap(run.config.labels), run.vocabulary);
  StepFamily steps(evaluation_step(file.model.graph, spec), signature.batch,
                   shared_options(o.compute, signature.length));
  train::TensorStore store = file.model.weights;
  const train::Metrics m = train::evaluate(texts.examples(run.config.text, signature.labels),
                                           run.config.training.fit.batch, steps.function(), store);
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
  options.add("RUN", o->run, "Folder that `lathe train` wrote").required();
  options.add("--data", o->data, "Table of texts and labels (.tsv, .csv, .gz) or folder")
      .required();
  add_compute_options(options, o->compute);
  options.flag("--json", o->json, "One JSON object");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kEval = {"eval", "Loss and accuracy of a run on labelled texts",
                    "lathe eval run/ --data test.tsv", setup};

}  // namespace lathe::tools
