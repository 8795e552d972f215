#include "tools/train_options.h"

#include <algorithm>

namespace lathe::tools {
namespace {

template <class T>
void check_same(const TrainArguments& a, const char* option, const std::optional<T>& given,
                const T& run) {
  if (given && *given != run)
    fail(
        "{}: was trained with {} {}, not {}; give the same to resume it, or train anew without "
        "--resume",
        a.out, option, run, *given);
}

}  // namespace

train::RunConfig new_config(const TrainArguments& a, const ModelDefaults& model) {
  train::RunConfig c;
  const int64_t length = model.length > 0 ? model.length : c.text.maxlen;
  const int64_t words = model.embedding > 0 ? model.embedding : c.text.vocab;
  c.text.maxlen = a.maxlen.value_or(length);
  c.text.vocab = a.vocab.value_or(words);
  if (model.embedding > 0 && c.text.vocab > model.embedding)
    fail("{}: its embedding has {} rows, too few for --vocab {}", a.model, model.embedding,
         c.text.vocab);
  c.training.optimizer = a.optimizer.value_or("adam");
  c.training.loss = a.loss.value_or(model.loss);
  c.training.fit.learning_rate = a.learning_rate.value_or(c.training.fit.learning_rate);
  c.training.fit.epochs = a.epochs.value_or(2);
  c.training.fit.batch = a.batch.value_or(c.training.fit.batch);
  c.training.fit.seed = a.seed.value_or(0);
  return c;
}

train::RunConfig resumed_config(const TrainArguments& a, const train::RunConfig& run) {
  const train::TrainingOptions& t = run.training;
  check_same(a, "--maxlen", a.maxlen, run.text.maxlen);
  check_same(a, "--vocab", a.vocab, run.text.vocab);
  check_same(a, "--optimizer", a.optimizer, t.optimizer);
  check_same(a, "--loss", a.loss, t.loss);
  check_same(a, "--lr", a.learning_rate, t.fit.learning_rate);
  check_same(a, "--batch", a.batch, t.fit.batch);
  check_same(a, "--seed", a.seed, t.fit.seed);
  train::RunConfig c = run;
  c.training.fit.epochs = a.epochs.value_or(t.fit.epochs);
  return c;
}

}  // namespace lathe::tools
