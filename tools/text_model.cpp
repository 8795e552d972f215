#include "tools/text_model.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <filesystem>

#include "runtime/data/keras_tokenizer.h"

namespace lathe::tools {
namespace {

namespace fs = std::filesystem;

TextModel load_run(const std::string& path, const TextArguments& a) {
  const auto refuse = [&](bool given, const char* option) {
    if (given)
      throw UsageError(
          fmt::format("{}: a RUN folder has its own words, length and labels; {} goes with a model "
                      "file",
                      path, option));
  };
  refuse(!a.word_index.empty(), "--word-index");
  refuse(a.maxlen.has_value(), "--maxlen");
  refuse(a.num_words.has_value(), "--num-words");
  refuse(a.padding.has_value(), "--padding");
  refuse(a.truncating.has_value(), "--truncating");
  refuse(!a.labels.empty(), "--labels");
  const train::Run run = train::read_run(path);
  TextModel m;
  m.file = load_model(path);
  m.signature = text_signature(m.file.model.graph, run.config.text.maxlen, path);
  m.text = run.config.text;
  m.labels = run.config.labels;
  m.loss = run.config.training.loss;
  m.batch = run.config.training.fit.batch;
  m.encode = [words = run.vocabulary](std::string_view text) { return words.encode(text); };
  return m;
}

int64_t length_of_texts(const Graph& g, const std::string& path, const TextArguments& a) {
  if (a.maxlen) return *a.maxlen;
  if (const int64_t fixed = fixed_length(g, path); fixed > 0) return fixed;
  throw UsageError(fmt::format(
      "{}: takes texts of any length; give --maxlen N, the one it was trained with", path));
}

data::KerasTokenizer load_tokenizer(const std::string& model, const TextArguments& a) {
  data::KerasTokenizer keras = data::KerasTokenizer::load(a.word_index);
  if (a.num_words) keras.num_words = *a.num_words;
  const int64_t rows = embedding_rows(model);
  if (rows == 0) return keras;
  if (a.num_words && *a.num_words > rows)
    fail("{}: its embedding has {} rows, too few for --num-words {}", model, rows, *a.num_words);
  if (keras.num_words && *keras.num_words > rows)
    fmt::print(
        stderr,
        "{}: the embedding has {} rows, so of the {} words of {} those from index {} on count "
        "as unknown\n",
        model, rows, *keras.num_words, a.word_index, rows);
  keras.num_words = std::min(keras.num_words.value_or(rows), rows);
  return keras;
}

data::Side side(const std::optional<std::string>& name) {
  return name == "post" ? data::Side::Post : data::Side::Pre;
}

TextModel load_file(const std::string& path, const TextArguments& a) {
  check_exists(path);
  if (a.word_index.empty())
    throw UsageError(fmt::format(
        "{}: a model file does not say how it reads texts; give --word-index FILE.json, the word "
        "index of its Keras Tokenizer, or a RUN folder",
        path));
  TextModel m;
  m.file = load_model(path);
  check_weights(m.file.model);
  m.text.maxlen = length_of_texts(m.file.model.graph, path, a);
  m.text.pad.padding = side(a.padding);
  m.text.pad.truncating = side(a.truncating);
  m.signature = text_signature(m.file.model.graph, m.text.maxlen, path);
  m.loss = default_loss(m.signature);
  m.labels = a.labels;
  if (!m.labels.empty() && std::ssize(m.labels) != m.signature.classes)
    throw UsageError(fmt::format("--labels names {} classes, but {} tells {} apart",
                                 m.labels.size(), path, m.signature.classes));
  m.encode = [keras = load_tokenizer(path, a)](std::string_view text) {
    return keras.encode(text);
  };
  return m;
}

// Whether the label is a class id itself.
bool is_class_id(std::string_view label, int classes) {
  int id = -1;
  const char* end = label.data() + label.size();
  const auto [at, error] = std::from_chars(label.data(), end, id);
  return error == std::errc() && at == end && id >= 0 && id < classes;
}

}  // namespace

void add_text_model_options(OptionList& options, std::string& model, TextArguments& a) {
  options.add("MODEL", model, "RUN folder, or a model file with --word-index").required();
  options
      .add("--word-index", a.word_index,
           "Keras Tokenizer in JSON: its to_json(), or the word index alone")
      .called("FILE");
  options.add("--maxlen", a.maxlen, "Tokens of a text (default: the model's fixed length)")
      .in_range(int64_t{1}, int64_t{1} << 24);
  options
      .add("--num-words", a.num_words,
           "Indices from here on are unknown (default: the tokenizer's, at most the rows of the "
           "embedding)")
      .in_range(int64_t{1}, int64_t{1} << 30);
  options.add("--padding", a.padding, "Where short texts are filled with 0 (default: pre)")
      .one_of({"pre", "post"});
  options.add("--truncating", a.truncating, "Where long texts are cut (default: pre)")
      .one_of({"pre", "post"});
  options
      .add("--labels", a.labels,
           "Names of the classes in their order, such as negative,positive (default: 0, 1, ..)")
      .called("NAME,..")
      .separated_by(',')
      .one_value_each();
}

TextModel load_text_model(const std::string& path, const TextArguments& arguments) {
  TextModel m = fs::is_directory(path) ? load_run(path, arguments) : load_file(path, arguments);
  if (!m.labels.empty() && std::ssize(m.labels) != m.signature.classes)
    fail("{}: {} labels, but the model tells {} classes apart", path, m.labels.size(),
         m.signature.classes);
  return m;
}

data::LabelMap labels_for(const TextModel& model, const data::LabelledTexts& texts) {
  if (!model.labels.empty()) return data::LabelMap(model.labels);
  const int classes = model.signature.classes;
  if (std::all_of(texts.examples.begin(), texts.examples.end(),
                  [&](const auto& e) { return is_class_id(e.label, classes); })) {
    std::vector<std::string> names;
    for (int i = 0; i < classes; ++i) names.push_back(std::to_string(i));
    return data::LabelMap(names);
  }
  data::LabelMap found = data::LabelMap::learn(texts, classes);
  if (found.size() != classes)
    fail("{}: the labels {}, but {} tells {} classes apart; name them all with --labels",
         texts.path, fmt::join(found.names(), ", "), model.file.path, classes);
  return found;
}

StepFamily answer_steps(const TextModel& m, const Compute& compute) {
  return {freeze(m.file.model), m.signature.batch, shared_options(compute, m.signature.length)};
}

Tensor ask(const TextModel& m, std::span<const std::string> texts, StepFamily& steps) {
  const GraphInput input = data_inputs(m.file.model.graph).at(0);
  Tensor answers;
  for (size_t begin = 0; begin < texts.size(); begin += static_cast<size_t>(m.batch)) {
    const auto part =
        texts.subspan(begin, std::min(static_cast<size_t>(m.batch), texts.size() - begin));
    std::vector<std::vector<int32_t>> tokens;
    for (const std::string& text : part) tokens.push_back(m.encode(text));
    const Tensor batch = data::pad_sequences(tokens, m.text.maxlen, m.text.pad);
    Executable& executable = steps.of_size(std::ssize(tokens));
    const Tensor rows = executable.run({converted(batch, input.type.dtype)})[0];
    const int64_t row_bytes = rows.bytes() / rows.dims()[0];
    if (begin == 0) answers = Tensor::empty(rows.dtype(), {std::ssize(texts), rows.dims().at(1)});
    std::memcpy(static_cast<char*>(answers.mutable_raw()) + static_cast<int64_t>(begin) * row_bytes,
                rows.raw(), static_cast<size_t>(rows.bytes()));
  }
  return answers;
}

}  // namespace lathe::tools
