// lathe compile: a model's definition to what `--emit` names.
#include <filesystem>

#include "backends/library.h"
#include "ir/graph_text.h"
#include "runtime/files.h"
#include "runtime/train/run_folder.h"
#include "tools/cli.h"
#include "tools/stages.h"

namespace lathe::tools {
namespace {

struct Options {
  std::string model, weights, out, emit = "so", cpu, target;
  std::vector<std::string> dims;
};

// Writes what was asked for to options.out.
using Emitter = void (*)(const ModelFile& file, const DimBinding& dims, const Options& o);

void emit_text(const ModelFile& file, const DimBinding& dims, const Options& o) {
  write_file_atomically(o.out, std::string_view(show_stage(file, dims, o.emit, "text")));
}

// With the weights inside, so that it is a model again.
void emit_graph(const ModelFile& file, const DimBinding&, const Options& o) {
  write_file_atomically(o.out, std::string_view(print_graph(freeze(file.model))));
}

// How a run's library reads texts; nothing for other models.
std::optional<TextFrontEnd> text_front_end(const ModelFile& file) {
  if (!train::is_run_folder(file.path)) return std::nullopt;
  const train::Run run = train::read_run(file.path);
  TextFrontEnd text;
  for (int32_t id = 2; id < run.vocabulary.size(); ++id)
    text.words.emplace_back(run.vocabulary.word(id));
  text.length = run.config.text.maxlen;
  text.pad_after = run.config.text.pad.padding == data::Side::Post;
  text.cut_after = run.config.text.pad.truncating == data::Side::Post;
  return text;
}

template <LibraryKind kind>
void emit_library(const ModelFile& file, const DimBinding& dims, const Options& o) {
  const DimBinding all = all_dims(file, dims);
  LibraryOptions library;
  library.name = c_identifier(std::filesystem::path(o.out).stem().string());
  library.kind = kind;
  library.comment = "made by `lathe compile` from " + file.path;
  if (all == all_dims(file, {})) library.text = text_front_end(file);
  const CompileOptions options = compile_options(Compute{}, all);
  library.target = options.target;
  write_library(compile_program(freeze(file.model), options), library, o.out);
}

struct Form {
  std::string_view name;
  Emitter emit;
};
constexpr Form kForms[] = {{"so", emit_library<LibraryKind::SharedLibrary>},
                           {"obj", emit_library<LibraryKind::Object>},
                           {"header", emit_library<LibraryKind::Header>},
                           {"llvm", emit_library<LibraryKind::Llvm>},
                           {"asm", emit_library<LibraryKind::Assembly>},
                           {"graph", emit_graph},
                           {"kernels", emit_text},
                           {"program", emit_text}};

std::vector<std::string> form_names() {
  std::vector<std::string> out;
  for (const Form& f : kForms) out.emplace_back(f.name);
  return out;
}

int run(const Options& o) {
  if (!o.cpu.empty()) fail_unsupported("--cpu {}: this version compiles for this machine", o.cpu);
  if (!o.target.empty())
    fail_unsupported("--target {}: this version compiles for this machine", o.target);
  const DimBinding dims = parse_dims(o.dims);
  ModelFile file = load_model(o.model, nn::Mode::Inference, 0, dims);
  if (!o.weights.empty()) replace_weights(file, o.weights);
  for (const Form& f : kForms)
    if (f.name == o.emit) f.emit(file, dims, o);
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("MODEL", o->model, "Model file or RUN folder").required();
  options.add("--weights", o->weights, "FILE.safetensors: weights instead of the model's own");
  options.add("-o,--output", o->out, "File to write").required();
  options.add("--emit", o->emit, "What to write").one_of(form_names()).show_default();
  options.add("--dim", o->dims, "NAME=N: a value for a free dimension").one_value_each();
  options.add("--cpu", o->cpu, "CPU to compile for (default: this one)");
  options.add("--target", o->target, "Target triple (default: this machine's)");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kCompile = {"compile", "Model definition to native code",
                       "lathe compile run/ -o reviews.so", setup};

}  // namespace lathe::tools
