// Classifiers of text: what training, evaluation and answers share.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "frontend/losses.h"
#include "passes/train_step.h"
#include "runtime/data/batches.h"
#include "runtime/train/run_folder.h"
#include "tools/compute.h"

namespace lathe::tools {

// Executables of one graph for batches of any size, compiled when first asked for. They share a
// thread pool and, through the caller's tensors, the weights.
class StepFamily {
 public:
  // `batch` is the graph's symbol for the number of examples; `options.dims` binds all others.
  StepFamily(Graph graph, std::string batch, CompileOptions options);
  StepFamily(StepFamily&&) = default;
  // Waits for kernels on their way, so that the next process finds them in the cache.
  ~StepFamily();
  Executable& of_size(int64_t batch);
  train::StepOfSize function() {
    return [this](int64_t batch) -> Executable& { return of_size(batch); };
  }

 private:
  Graph graph_;
  std::string batch_;
  CompileOptions options_;
  std::map<int64_t, std::unique_ptr<Executable>> executables_;
};

// How a model reads texts and what it answers, checked: one data input [batch, length] of token
// ids, and as output 0 a probability [batch, 1] or one for each of two or more classes.
struct TextSignature {
  std::string batch;  // the symbol of the input's first dim
  DimBinding length;  // binds the second dim, where it is free
  int classes = 2;
  data::LabelForm labels = data::LabelForm::Binary;
};
// `maxlen` must be the input's length where that is fixed. User errors name `place`.
TextSignature text_signature(const Graph& g, int64_t maxlen, const std::string& place);
// The input's fixed length; 0 where it is free.
int64_t fixed_length(const Graph& g, const std::string& place);
// Rows of the smallest embedding in the Keras configuration in `path`; 0 where there is none.
int64_t embedding_rows(const std::string& path);

// Options with a pool that several families share.
CompileOptions shared_options(const Compute& compute, const DimBinding& dims);

// The name of the loss that suits the model's output.
std::string default_loss(const TextSignature& signature);

// Loss, accuracy and target of `objective` for this model; the optimiser is left empty. An
// objective whose targets are no class ids is a user error.
TrainingSpec training_spec(const Graph& model, const Objective& objective);

// Examples of a data set, encoded. They must outlive what is made of them.
struct EncodedTexts {
  data::Dataset dataset;
  train::Examples examples(const train::TextOptions& text, data::LabelForm form) const;
};

// Reads labelled texts and says on stderr where bytes were not valid UTF-8.
data::LabelledTexts read_texts(const std::string& path, data::Split split);

}  // namespace lathe::tools
