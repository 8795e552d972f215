// Classifiers with all that texts need on their way in and answers on their way out: a RUN folder,
// or a Keras model and the word index of the Keras Tokenizer that it was trained with.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/classifier.h"
#include "tools/cli.h"

namespace lathe::tools {

// What a RUN folder holds and a model file lacks.
struct TextArguments {
  std::string word_index;  // JSON; empty: the model is a RUN folder
  std::optional<int64_t> maxlen, num_words;
  std::optional<std::string> padding, truncating;
  std::vector<std::string> labels;
};

// MODEL and the options of TextArguments.
void add_text_model_options(OptionList& options, std::string& model, TextArguments& arguments);

struct TextModel {
  ModelFile file;
  TextSignature signature;
  train::TextOptions text;
  std::vector<std::string> labels;  // by class id; empty: the data tells
  std::string loss;
  int64_t batch = 32;  // examples at a time where that is free to choose
  data::TextEncoder encode;
};

// Arguments that do not go with the kind of model are UsageErrors. Of a word index count the words
// that the tokenizer's num_words and the model's embedding have room for, the rest as unknown; a
// line on stderr says so where the embedding has less.
TextModel load_text_model(const std::string& path, const TextArguments& arguments);

// The model's labels; where it has none, those of the data: class ids if all are whole numbers
// below the number of classes, else sorted as in training. Labels of another number than the
// model's classes are a user error.
data::LabelMap labels_for(const TextModel& model, const data::LabelledTexts& texts);

StepFamily answer_steps(const TextModel& model, const Compute& compute);

// The first output, [texts, columns]. A text's answer does not depend on those asked beside it.
// `steps` are answer_steps of the model.
Tensor ask(const TextModel& model, std::span<const std::string> texts, StepFamily& steps);

}  // namespace lathe::tools
