// lathe compile: a model's definition to what `--emit` names.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "runtime/files.h"
#include "tools/cli.h"
#include "tools/stages.h"

namespace lathe::tools {
namespace {

struct Options {
  std::string model, out, emit = "so", cpu, target;
  std::vector<std::string> dims;
};

// Writes what was asked for to options.out.
using Emitter = void (*)(const ModelFile& file, const DimBinding& dims, const Options& o);

void emit_text(const ModelFile& file, const DimBinding& dims, const Options& o) {
  write_file_atomically(o.out, std::string_view(show_stage(file, dims, o.emit, "text")));
}

void emit_unsupported(const ModelFile&, const DimBinding&, const Options& o) {
  fail_unsupported("--emit {} is not in this version; it has graph, kernels and program", o.emit);
}

struct Form {
  std::string_view name;
  Emitter emit;
};
constexpr Form kForms[] = {{"so", emit_unsupported},     {"obj", emit_unsupported},
                           {"header", emit_unsupported}, {"llvm", emit_unsupported},
                           {"asm", emit_unsupported},    {"graph", emit_text},
                           {"kernels", emit_text},       {"program", emit_text}};

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
  const ModelFile file = load_model(o.model);
  for (const Form& f : kForms)
    if (f.name == o.emit) f.emit(file, dims, o);
  return kDone;
}

Action setup(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model file or RUN folder")->required();
  app.add_option("-o,--output", o->out, "File to write")->required();
  app.add_option("--emit", o->emit, "What to write")
      ->check(CLI::IsMember(form_names()))
      ->capture_default_str();
  app.add_option("--dim", o->dims, "NAME=N: a value for a free dimension")->allow_extra_args(false);
  app.add_option("--cpu", o->cpu, "CPU to compile for (default: this one)");
  app.add_option("--target", o->target, "Target triple (default: this machine's)");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kCompile = {"compile", "Model definition to native code",
                       "lathe compile run/ -o reviews.so", setup};

}  // namespace lathe::tools
