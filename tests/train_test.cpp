// The training loop, on a network small enough for the interpreter.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "backends/compile.h"
#include "frontend/losses.h"
#include "frontend/optimizers.h"
#include "passes/train_step.h"
#include "runtime/train/progress.h"
#include "runtime/train/run_folder.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_classifier.h"
#include "tools/classifier.h"

namespace lathe {
namespace {

using testing::error_of;
using train::EpochRecord;
using train::Metrics;

TrainingSpec tiny_spec() {
  TrainingSpec spec = tools::training_spec(testing::tiny_classifier(), find_objective("bce"));
  spec.optimizer = find_optimizer("adam");
  return spec;
}

CompileOptions interpreter() {
  CompileOptions o = compile_options();
  o.threads = 1;
  o.backend = Backend::Interpreter;
  o.pool = std::make_shared<ThreadPool>(1);
  return o;
}

// A training with everything it needs.
struct Training {
  data::Dataset dataset = testing::tiny_dataset(203, 1);
  data::Dataset held_out = testing::tiny_dataset(50, 2);
  Graph step = train_step(testing::tiny_classifier(), tiny_spec());
  tools::StepFamily train_steps{step, "batch", interpreter()};
  tools::StepFamily evaluation_steps{evaluation_step(testing::tiny_classifier(), tiny_spec()),
                                     "batch", interpreter()};
  train::Checkpoint state;

  Training() {
    for (const auto& [name, tensor] : testing::tiny_weights()) state.store[name] = tensor.clone();
    for (const GraphInput& in : step.inputs())
      if (in.role != InputRole::Data)
        train::add_state(state.store, {in.name, in.type.dtype, in.type.shape.static_dims()});
  }

  train::Examples examples(const data::Dataset& d) const {
    return {d.size(), data::text_batches(d, testing::kTinyLength, data::LabelForm::Binary)};
  }

  void run(int64_t epochs, const train::FitObserver& observer = {}, double rate = 0.05) {
    train::fit(examples(dataset), examples(held_out), train_steps.function(),
               evaluation_steps.function(), state.store, state.history,
               {.epochs = epochs, .batch = 16, .seed = 9, .learning_rate = rate}, observer);
  }
};

TEST_CASE("fit lowers the loss and learns the rule of the data") {
  Training t;
  t.run(12);
  REQUIRE(t.state.history.size() == 12);
  const EpochRecord &first = t.state.history.front(), &last = t.state.history.back();
  CHECK(last.training.loss < 0.5 * first.training.loss);
  REQUIRE(last.validation);
  CHECK(last.validation->accuracy >= 0.9);
  CHECK(t.state.store.at("step").at(0) == 12 * 13);  // 203 examples are 13 batches of 16
}

TEST_CASE("a training that stops after an epoch goes on to the same bits") {
  Training whole;
  whole.run(4);
  const testing::ScratchFolder scratch;
  {
    Training half;
    half.run(2);
    train::Run run;
    run.model_json = "{}";
    run.config.labels = {"0", "1"};
    run.config.training.examples = half.dataset.size();
    train::RunWriter(scratch.path("run")).save(run, half.state, testing::tiny_weights());
  }
  Training resumed;
  resumed.state = train::read_checkpoint(scratch.path("run"));
  resumed.run(4);
  REQUIRE(resumed.state.history.size() == 4);
  CHECK(resumed.state.store.size() == whole.state.store.size());
  for (const auto& [name, tensor] : whole.state.store) {
    CAPTURE(name);
    CHECK(identical(tensor, resumed.state.store.at(name)));
  }
  CHECK(resumed.state.history[3].training.loss == whole.state.history[3].training.loss);
  CHECK(resumed.state.history[0].validation->loss == whole.state.history[0].validation->loss);
}

TEST_CASE("metrics are means over examples, whatever the size of the batches") {
  Training t;
  const train::Examples all = t.examples(t.held_out);
  const Metrics whole = train::evaluate(all, 50, t.evaluation_steps.function(), t.state.store);
  const Metrics parts = train::evaluate(all, 16, t.evaluation_steps.function(), t.state.store);
  CHECK(parts.loss == doctest::Approx(whole.loss).epsilon(1e-6));
  CHECK(parts.accuracy == doctest::Approx(whole.accuracy).epsilon(1e-6));
}

TEST_CASE("evaluation changes nothing") {
  Training t;
  t.run(1);
  train::TensorStore before;
  for (const auto& [name, tensor] : t.state.store) before[name] = tensor.clone();
  train::evaluate(t.examples(t.held_out), 16, t.evaluation_steps.function(), t.state.store);
  for (const auto& [name, tensor] : before) CHECK(identical(tensor, t.state.store.at(name)));
}

TEST_CASE("observers see every batch and every epoch, and which epoch is the best so far") {
  Training t;
  int64_t batches = 0, last_done = 0;
  std::vector<bool> best;
  t.run(3, {.on_batch =
                [&](int64_t, int64_t done, int64_t total, const Metrics&) {
                  ++batches;
                  last_done = done;
                  CHECK(total == 203);
                },
            .on_epoch = [&](const EpochRecord&, bool b) { best.push_back(b); }});
  CHECK(batches == 3 * 13);
  CHECK(last_done == 203);
  REQUIRE(best.size() == 3);
  CHECK(best[0]);
}

TEST_CASE("a loss that is not finite ends the training with epoch and batch") {
  Training t;
  t.state.store.at("bias").set(0, std::numeric_limits<double>::quiet_NaN());
  testing::check_names(error_of([&] { t.run(1); }),
                       {"loss is nan", "batch 1 of epoch 1", "learning rate"});
}

TEST_CASE("the best epoch has the highest validation accuracy, of equals the lowest loss") {
  const auto record = [](int64_t epoch, double loss, double accuracy) {
    return EpochRecord{epoch, {}, Metrics{loss, accuracy}, 0};
  };
  const std::vector<EpochRecord> history = {record(1, 0.5, 0.8), record(2, 0.6, 0.9),
                                            record(3, 0.4, 0.9), record(4, 0.1, 0.7),
                                            record(5, 0.4, 0.9)};
  CHECK(train::best_epoch(history)->epoch == 3);
  CHECK(train::best_epoch({}) == nullptr);
  CHECK(train::best_epoch({{1, {}, {}, 0}, {2, {}, {}, 0}})->epoch == 2);
}

TEST_CASE("a state of another type than the model's is refused with both types") {
  train::TensorStore store = {{"m", Tensor::zeros(DType::f32, {2})}};
  testing::check_names(error_of([&] { train::add_state(store, {"m", DType::f32, {3}}); }),
                       {"'m'", "f32[2]", "f32[3]"});
}

TEST_CASE("the bar shows progress, metrics and the time left") {
  CHECK(train::bar_text(2, 8, 320, 640, {0.43125, 0.8}, 12.4) ==
        "epoch 2/8  [============>           ] 320/640  loss 0.4313  accuracy 0.8000  0:12 left");
  CHECK(train::epoch_text({2, {0.5, 0.75}, Metrics{0.25, 1}, 3.14159}, 8, true) ==
        "epoch 2/8  loss 0.5000  accuracy 0.7500  val_loss 0.2500  val_accuracy 1.0000  3.1 s  "
        "best");
  CHECK(train::clock_text(65) == "1:05");
  CHECK(train::clock_text(7200.2) == "2:00:00");
}

}  // namespace
}  // namespace lathe
