// lathe compile: a model's definition to what `--emit` names.
#include <filesystem>

#include "backends/library.h"
#include "backends/llvm_module.h"
#include "ir/graph_text.h"
#include "runtime/cpu.h"
#include "runtime/files.h"
#include "runtime/train/run_folder.h"
#include "tools/cli.h"
#include "tools/onnx_file.h"
#include "tools/stages.h"

namespace lathe::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHere = "x86_64-linux-gnu";  // all that the LLVM backend runs on

struct Options {
  std::string model, weights, out, emit = "so", cpu, target;
  std::vector<std::string> dims;
  onnx::LoadLimits limits;
};

// What is compiled for: this machine, unless --cpu or --target say otherwise.
struct Machine {
  Target target;
  std::string triple;           // empty: this machine's
  std::string compiler = "cc";  // of C, for the triple
  bool foreign = false;         // of another architecture
};

Machine find_machine(const Options& o) {
  Machine m;
  m.target = detect_cpu().target;
  const std::string cpu = o.cpu == "native" ? "" : o.cpu;
  if (cpu.empty() && o.target.empty()) return m;
  Result<LlvmBackend*> llvm = LlvmBackend::open();
  if (!llvm) fail("--cpu and --target need the LLVM backend: {}", llvm.error());
  const Result<CpuTarget> found =
      (*llvm)->find_cpu(o.target.empty() ? std::string(kHere) : o.target, cpu);
  if (!found) fail("{}: {}", cpu.empty() ? "--target " + o.target : "--cpu " + cpu, found.error());
  m.triple = found->triple;
  m.foreign = !found->triple.starts_with(kHere.substr(0, kHere.find('-')));
  if (m.foreign && o.cpu == "native") fail("--cpu native: this machine is no {}", found->triple);
  if (m.foreign) m.compiler = o.target + "-gcc";
  if (m.foreign || !cpu.empty()) m.target = found->target;
  return m;
}

// Writes what was asked for to options.out.
using Emitter = void (*)(const ModelFile& file, const DimBinding& dims, const Machine& machine,
                         const Options& o);

void emit_text(const ModelFile& file, const DimBinding& dims, const Machine& m, const Options& o) {
  write_file_atomically(o.out, show_stage(file, dims, o.emit, "text", m.target));
}

// With the weights inside, so that it is a model again.
void emit_graph(const ModelFile& file, const DimBinding&, const Machine&, const Options& o) {
  write_file_atomically(o.out, print_graph(freeze(file.model)));
}

// Assembly and LLVM IR are those of the kernels alone.
constexpr bool reads_texts(LibraryKind kind) { return kind <= LibraryKind::Header; }

// How a run's library reads texts.
TextFrontEnd text_front_end(const std::string& path) {
  const train::Run run = train::read_run(path);
  TextFrontEnd text;
  for (int32_t id = 2; id < run.vocabulary.size(); ++id)
    text.words.emplace_back(run.vocabulary.word(id));
  text.length = run.config.text.maxlen;
  text.pad_after = run.config.text.pad.padding == data::Side::Post;
  text.cut_after = run.config.text.pad.truncating == data::Side::Post;
  return text;
}

template <LibraryKind kind>
void emit_library(const ModelFile& file, const DimBinding& dims, const Machine& m,
                  const Options& o) {
  const fs::path out = o.out;
  if (kind <= LibraryKind::Object && out.extension() == ".h")
    throw UsageError(
        fmt::format("-o {}: a header of this name is written beside the library; name "
                    "it {}",
                    o.out, fs::path(out).replace_extension(o.emit).string()));
  const DimBinding all = all_dims(file, dims);
  LibraryOptions library;
  library.name = c_identifier(out.stem().string());
  library.kind = kind;
  library.comment = "made by `lathe compile` from " + file.path;
  library.triple = m.triple;
  library.compiler = m.compiler;
  library.target = m.target;
  if (reads_texts(kind) && train::is_run_folder(file.path) && all == all_dims(file, {}))
    library.text = text_front_end(file.path);
  if (library.text && m.foreign) {
    fmt::print(stderr,
               "{}: has {}_run, which takes token ids; what reads texts is built for this machine "
               "only\n",
               o.out, library.name);
    library.text.reset();
  }
  CompileOptions options = compile_options(Compute{}, all);
  options.target = m.target;
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
  const DimBinding dims = parse_dims(o.dims);
  const Machine machine = find_machine(o);
  ModelFile file = load_model(o.model, nn::Mode::Inference, 0, dims, o.limits);
  if (!o.weights.empty()) replace_weights(file, o.weights);
  for (const Form& f : kForms)
    if (f.name == o.emit) f.emit(file, dims, machine, o);
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("MODEL", o->model, "Model file or RUN folder").required();
  options.add("--weights", o->weights, "Weights instead of the model's own")
      .called("FILE.safetensors");
  options.add("-o,--output", o->out, "File to write").called("FILE").required();
  options.add("--emit", o->emit, "What to write").one_of(form_names()).show_default();
  options.add("--dim", o->dims, "A value for a free dimension").called("NAME=N").one_value_each();
  options.add("--cpu", o->cpu, "CPU to compile for, such as haswell or x86-64-v3 (default: native)")
      .called("NAME");
  options
      .add("--target", o->target, "x86_64-linux-gnu or aarch64-linux-gnu (default: this machine's)")
      .called("TRIPLE");
  add_limit_options(options, o->limits);
  return [o] { return run(*o); };
}

}  // namespace

const Verb kCompile = {"compile", "Model definition to native code",
                       "lathe compile run/ -o reviews.so", setup};

}  // namespace lathe::tools
