// Ahead of time: what `lathe compile` writes answers as `lathe predict` and `lathe run` do, to the
// bit, from a program that has nothing but the library.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <set>

#include "backends/llvm_module.h"
#include "ir/eval.h"
#include "ir/graph_text.h"
#include "runtime/files.h"
#include "runtime/npy.h"
#include "runtime/npz.h"
#include "tests/support/project.h"
#include "tools/text_model.h"

namespace lathe {
namespace {

using testing::Captured;
using testing::check_names;
using testing::lathe_cli;
using testing::Project;
using testing::run_program;
using testing::ScratchFolder;

Tensor asked(const tools::TextModel& model, std::span<const std::string> texts,
             const tools::Compute& compute) {
  tools::StepFamily steps = tools::answer_steps(model, compute);
  return tools::ask(model, texts, steps);
}

bool without_llvm() {
  if (LlvmBackend::open()) return false;
  MESSAGE("skipped: native code needs the LLVM backend");
  return true;
}

// The names of a shared library's dynamic section with this tag, such as DT_NEEDED.
std::set<std::string> dynamic_names(const std::string& path, int64_t tag) {
  const std::string file = read_text_file(path);
  const auto at = [&]<class T>(size_t offset, T) {
    T value;
    REQUIRE(offset + sizeof value <= file.size());
    std::memcpy(&value, file.data() + offset, sizeof value);
    return value;
  };
  const Elf64_Ehdr header = at(0, Elf64_Ehdr());
  REQUIRE(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0);
  std::set<std::string> names;
  for (size_t s = 0; s < header.e_shnum; ++s) {
    const auto section = at(header.e_shoff + s * header.e_shentsize, Elf64_Shdr());
    if (section.sh_type != SHT_DYNAMIC) continue;
    const auto strings = at(header.e_shoff + section.sh_link * header.e_shentsize, Elf64_Shdr());
    for (size_t d = 0; d < section.sh_size / sizeof(Elf64_Dyn); ++d) {
      const auto entry = at(section.sh_offset + d * sizeof(Elf64_Dyn), Elf64_Dyn());
      if (entry.d_tag == tag) names.insert(file.data() + strings.sh_offset + entry.d_un.d_val);
    }
  }
  return names;
}

void check_needs_only_the_system(const std::string& library) {
  CHECK(dynamic_names(library, DT_SONAME).empty());
  const std::set<std::string> system = {"libc.so.6", "libm.so.6", "libpthread.so.0",
                                        "ld-linux-x86-64.so.2"};
  for (const std::string& name : dynamic_names(library, DT_NEEDED)) {
    CAPTURE(name);
    CHECK(system.contains(name));
  }
}

// A shared library while it is open.
class Library {
 public:
  explicit Library(const std::string& path) : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    REQUIRE_MESSAGE(handle_ != nullptr, dlerror());
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { dlclose(handle_); }

  void* find(const char* symbol) const { return dlsym(handle_, symbol); }

 private:
  void* handle_;
};

constexpr const char* kTexts[] = {"a fine film number 3",
                                  "dull book!",
                                  "",
                                  "我喜欢编程",
                                  "so long that it is cut: a fine dull film book number 1 2 3 4 5",
                                  "<b>Fine</b>\xff &amp; dull"};

TEST_CASE("the library of a run gives predict's bits for every text") {
  if (without_llvm()) return;
  for (const std::string& config :
       {testing::pooling_json(), testing::fixed_length_json(), testing::lstm_json()}) {
    const Project p(config);
    const Captured trained = p.train();
    CAPTURE(trained.err);
    REQUIRE(trained.status == 0);
    const std::string path = p.scratch.path("tiny.so");
    REQUIRE(lathe_cli({"compile", p.run, "-o", path}).status == 0);
    check_needs_only_the_system(path);
    const Library library(path);
    auto* predict = reinterpret_cast<int (*)(const char*, float*)>(library.find("tiny_predict"));
    REQUIRE(static_cast<bool>(predict));
    CHECK(library.find("lathe_text_encode") == nullptr);
    const tools::TextModel model = tools::load_text_model(p.run, {});
    for (const char* backend : {"llvm", "simd", "interpreter"}) {
      const tools::Compute compute{1, backend};
      for (const std::string text : kTexts) {
        float answer = -1;
        REQUIRE(predict(text.c_str(), &answer) == 0);
        const Tensor expected = asked(model, {&text, 1}, compute);
        CAPTURE(backend);
        CAPTURE(text);
        CHECK(std::memcmp(&answer, expected.raw(), sizeof answer) == 0);
      }
    }
  }
}

// How C programs are built and started.
struct Toolchain {
#ifdef __SANITIZE_ADDRESS__  // which the libraries under test then need
  std::vector<std::string> compiler = {"cc", "-fsanitize=address,undefined"};
#else
  std::vector<std::string> compiler = {"cc"};
#endif
  std::vector<std::string> starter = {};
};

// Builds `source` with what it is to be linked with, and headers beside that, as a user would.
Captured run_c_program(const ScratchFolder& scratch, const std::string& source,
                       const std::vector<std::string>& link,
                       const std::vector<std::string>& arguments, const Toolchain& toolchain = {}) {
  const std::string file = scratch.write("program.c", source), program = scratch.path("program");
  std::vector<std::string> build = toolchain.compiler, command = toolchain.starter;
  for (const std::string part : {"-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror"})
    build.push_back(part);
  build.push_back("-I" + scratch.path());
  build.push_back(file);
  build.insert(build.end(), link.begin(), link.end());
  build.push_back("-o");
  build.push_back(program);
  const Captured built = run_program(build);
  CAPTURE(built.err);
  REQUIRE(built.status == 0);
  command.push_back(program);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_program(command);
}

TEST_CASE("a C program asks a run's library through its header") {
  if (without_llvm()) return;
  const Project p;
  REQUIRE(p.train().status == 0);
  const std::string path = p.scratch.path("tiny.so");
  REQUIRE(lathe_cli({"compile", p.run, "-o", path}).status == 0);
  const Captured answers = run_c_program(p.scratch, R"(#include "tiny.h"
#include <stdio.h>
int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    float positive;
    if (tiny_predict(argv[i], &positive) != 0) return 1;
    printf("%a\n", positive);
  }
  return 0;
}
)",
                                         {path}, {std::begin(kTexts), std::end(kTexts)});
  REQUIRE(answers.status == 0);
  const tools::TextModel model = tools::load_text_model(p.run, {});
  const std::vector<std::string> texts(std::begin(kTexts), std::end(kTexts));
  const Tensor expected = asked(model, texts, {1, "interpreter"});
  std::string lines;
  for (int64_t i = 0; i < expected.size(); ++i) {
    char line[64];
    std::snprintf(line, sizeof line, "%a\n", expected.at(i));
    lines += line;
  }
  CHECK(answers.out == lines);
  CHECK(run_program({"c++", "-fsyntax-only", "-x", "c++", p.scratch.path("tiny.h")}).status == 0);
}

TEST_CASE("a program may link the objects of several runs") {
  if (without_llvm()) return;
  const Project p;
  REQUIRE(p.train().status == 0);
  for (const char* name : {"one.o", "two.o"})
    REQUIRE(lathe_cli({"compile", p.run, "--emit", "obj", "-o", p.scratch.path(name)}).status == 0);
  const Captured answers =
      run_c_program(p.scratch, R"(#include "one.h"
#include "two.h"
#include <stdio.h>
int main(void) {
  float a = 0, b = 1;
  if (one_predict("a fine film", &a) != 0 || two_predict("a fine film", &b) != 0) return 1;
  printf("%a\n", a);
  return a != b;
}
)",
                    {p.scratch.path("one.o"), p.scratch.path("two.o"), "-lstdc++"}, {});
  CHECK(answers.status == 0);
  const std::string text = "a fine film";
  const Tensor expected = asked(tools::load_text_model(p.run, {}), {&text, 1}, {1, "interpreter"});
  CHECK(std::strtof(answers.out.c_str(), nullptr) == expected.data<float>()[0]);
}

// Inputs of the dense model and its answers to them by `lathe run`.
struct DenseModel {
  static constexpr int kRows = 5, kColumns = 6, kClasses = 3;
  ScratchFolder scratch;
  std::string model = scratch.write("model.json", testing::dense_json());
  Tensor expected;

  DenseModel() {
    Tensor x = Tensor::empty(DType::f32, {kRows, kColumns});
    for (int64_t i = 0; i < x.size(); ++i) x.set(i, 0.37 * static_cast<double>(i) - 4);
    write_npy(scratch.path("x.npy"), x);
    scratch.write("x.raw", {static_cast<const char*>(x.raw()), static_cast<size_t>(x.bytes())});
    REQUIRE(lathe_cli({"run", model, "--input", "x=" + scratch.path("x.npy"), "-o",
                       scratch.path("answer.npz"), "--backend", "simd"})
                .status == 0);
    expected = read_npz(scratch.path("answer.npz")).at(0).tensor;
    REQUIRE(expected.dims() == Dims{kRows, kClasses});
  }

  // Compiles for batches of this size and asks the result from C, with and without a workspace.
  void check(int batch, const std::string& library, const std::vector<std::string>& options = {},
             const Toolchain& toolchain = {}) const {
    const std::string path = scratch.path(library);
    std::vector<std::string> compile = {"compile", model,   "-o",
                                        path,      "--dim", fmt::format("batch={}", batch)};
    compile.insert(compile.end(), options.begin(), options.end());
    const Captured compiled = lathe_cli(compile);
    CAPTURE(compiled.err);
    REQUIRE(compiled.status == 0);
    const std::string source = fmt::format(R"(#include "dense.h"
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char** argv) {{
  float x[{0}], y[{1}];
  void* workspace = aligned_alloc(64, (dense_workspace_bytes() + 63) / 64 * 64 + 64);
  FILE* in = fopen(argv[argc - 2], "rb");
  FILE* out = fopen(argv[argc - 1], "wb");
  while (fread(x, sizeof x, 1, in) == 1) {{
    if (dense_run(x, y, workspace) != 0) return 1;
    fwrite(y, sizeof y, 1, out);
    if (dense_run(x, y, NULL) != 0) return 1;
    fwrite(y, sizeof y, 1, out);
  }}
  free(workspace);
  return fclose(out) != 0;
}}
)",
                                           batch * kColumns, batch * kClasses);
    const Captured c = run_c_program(scratch, source, {path},
                                     {scratch.path("x.raw"), scratch.path("y.raw")}, toolchain);
    CAPTURE(c.err);
    REQUIRE(c.status == 0);
    const std::string answers = read_text_file(scratch.path("y.raw"));
    const size_t bytes = static_cast<size_t>(batch) * kClasses * sizeof(float);
    REQUIRE(answers.size() == 2 * static_cast<size_t>(expected.bytes()));
    for (size_t run = 0; run < answers.size() / bytes; ++run)
      CHECK(std::memcmp(answers.data() + run * bytes,
                        static_cast<const char*>(expected.raw()) + run / 2 * bytes, bytes) == 0);
  }
};

TEST_CASE("the library of a model of numbers gives run's bits, alone and in batches") {
  if (without_llvm()) return;
  const DenseModel m;
  for (const int batch : {1, DenseModel::kRows}) {
    CAPTURE(batch);
    m.check(batch, "dense.so");
    check_needs_only_the_system(m.scratch.path("dense.so"));
  }
}

std::string assembly(const DenseModel& m, const std::vector<std::string>& options) {
  const std::string path = m.scratch.path("dense.s");
  std::vector<std::string> compile = {"compile", m.model,    "--emit", "asm",
                                      "--dim",   "batch=64", "-o",     path};
  compile.insert(compile.end(), options.begin(), options.end());
  const Captured c = lathe_cli(compile);
  CAPTURE(c.err);
  REQUIRE(c.status == 0);
  return read_text_file(path);
}

TEST_CASE("a library that sorts needs nothing more, and a program may link several") {
  if (without_llvm()) return;
  const ScratchFolder scratch;
  constexpr int kRows = 3, kColumns = 50, kWanted = 4;
  const std::string model = scratch.write("best.gir", R"(
graph @best(%x: f32[3,50], %h: bf16[3,50]) -> (i64[3,4], i64[3,50]) {
  %0 = argsort %x {count=4, descending=true} : i64[3,4]
  %1 = argsort %h {count=50, descending=false} : i64[3,50]
  return %0 "first", %1 "all"
}
)");
  std::vector<Tensor> inputs;
  for (const DType t : {DType::f32, DType::bf16}) {
    Tensor x = Tensor::empty(t, {kRows, kColumns});
    for (int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(i * 37 % 19) - 9);
    inputs.push_back(x);
  }
  const std::vector<Tensor> expected = evaluate(parse_graph(read_text_file(model)).value(), inputs);
  const std::string path = scratch.path("best.so");
  const Captured compiled = lathe_cli({"compile", model, "-o", path});
  CAPTURE(compiled.err);
  REQUIRE(compiled.status == 0);
  check_needs_only_the_system(path);
  {
    const Library library(path);
    CHECK(library.find("lathe_argsort_f32") == nullptr);
    auto* run = reinterpret_cast<int (*)(const float*, const uint16_t*, int64_t*, int64_t*, void*)>(
        library.find("best_run"));
    REQUIRE(static_cast<bool>(run));
    std::vector<int64_t> first(kRows * kWanted), all(kRows * kColumns);
    REQUIRE(run(inputs[0].data<float>(), static_cast<const uint16_t*>(inputs[1].raw()),
                first.data(), all.data(), nullptr) == 0);
    CHECK(std::memcmp(first.data(), expected[0].raw(), first.size() * sizeof first[0]) == 0);
    CHECK(std::memcmp(all.data(), expected[1].raw(), all.size() * sizeof all[0]) == 0);
  }
  for (const char* name : {"one.o", "two.o"})
    REQUIRE(lathe_cli({"compile", model, "--emit", "obj", "-o", scratch.path(name)}).status == 0);
  const Captured answers = run_c_program(scratch, R"(#include "one.h"
#include "two.h"
int main(void) {
  static const float x[3 * 50] = {[7] = 1, [2] = 3};
  static const uint16_t h[3 * 50];
  int64_t first[3 * 4], second[3 * 4], all[3 * 50];
  if (one_run(x, h, first, all, 0) != 0 || two_run(x, h, second, all, 0) != 0) return 1;
  return first[0] != 2 || first[1] != 7 || first[2] != 0 || second[0] != 2 || all[49] != 49;
}
)",
                                         {scratch.path("one.o"), scratch.path("two.o")}, {});
  CHECK(answers.status == 0);
}

TEST_CASE("--cpu chooses the instructions") {
  if (without_llvm()) return;
  const DenseModel m;
  const auto uses = [&](const char* cpu, const char* what) {
    return assembly(m, {"--cpu", cpu}).find(what) != std::string::npos;
  };
  CHECK(uses("skylake-avx512", "%zmm"));
  CHECK(uses("x86-64-v4", "%zmm"));
  for (const char* cpu : {"haswell", "x86-64-v3"}) {
    CHECK(uses(cpu, "vfmadd"));
    CHECK(uses(cpu, "%ymm"));
    CHECK_FALSE(uses(cpu, "%zmm"));
  }
  CHECK(uses("x86-64-v2", "%xmm"));
  CHECK_FALSE(uses("x86-64-v2", "%ymm"));
  CHECK(assembly(m, {"--cpu", "native"}) == assembly(m, {}));
}

TEST_CASE("--target makes code of another architecture, to the same bits") {
  if (without_llvm()) return;
  const DenseModel m;
  CHECK(assembly(m, {"--target", "x86_64-linux-gnu"}) == assembly(m, {}));
  CHECK(assembly(m, {"--target", "aarch64-linux-gnu"}).find("fmla\tv") != std::string::npos);
  const auto found = [](const std::string& program) {
    return run_program({"sh", "-c", "command -v " + program}).status == 0;
  };
  if (!found("aarch64-linux-gnu-gcc") || !found("qemu-aarch64")) {
    MESSAGE("skipped: running it needs gcc-aarch64-linux-gnu and qemu-user");
    return;
  }
  for (const int batch : {1, DenseModel::kRows})
    m.check(batch, "dense.o", {"--emit", "obj", "--target", "aarch64-linux-gnu"},
            {{"aarch64-linux-gnu-gcc", "-static"}, {"qemu-aarch64"}});
}

TEST_CASE("machines that no code is made for, and compilers that are not there, are named") {
  if (without_llvm()) return;
  const DenseModel m;
  struct Refusal {
    std::vector<std::string> options;
    std::initializer_list<std::string_view> names;
  };
  const Refusal refusals[] = {
      {{"--cpu", "haswel"}, {"--cpu haswel", "did you mean 'haswell'"}},
      {{"--cpu", "x86-64"}, {"SSE4.2", "x86-64-v2"}},
      {{"--cpu", "haswell", "--target", "aarch64-linux-gnu"}, {"--cpu haswell", "no CPU"}},
      {{"--cpu", "native", "--target", "aarch64-linux-gnu"}, {"this machine is no aarch64"}},
      {{"--target", "riscv64-linux-gnu"}, {"riscv64-linux-gnu", "expected x86_64-linux-gnu"}},
      {{"--target", "x86_64-pc-windows-msvc"}, {"windows", "expected x86_64-linux-gnu"}},
  };
  const std::string out = m.scratch.path("dense.so");
  for (const Refusal& r : refusals) {
    CAPTURE(r.options);
    std::vector<std::string> compile = {"compile", m.model, "-o", out};
    compile.insert(compile.end(), r.options.begin(), r.options.end());
    const Captured c = lathe_cli(compile);
    CHECK(c.status == 1);
    check_names(c.err, r.names);
  }
  for (const std::string target : {"x86_64-linux-gnu", "aarch64-linux-gnu"}) {
    const Captured c =
        run_program({testing::lathe_program(), "compile", m.model, "-o", out, "--target", target},
                    {"PATH=/nowhere"});
    CHECK(c.status == 1);
    check_names(c.err, {target == "aarch64-linux-gnu" ? "'aarch64-linux-gnu-gcc'" : "'cc'",
                        "install it", "--emit llvm or asm"});
  }
  CHECK_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace lathe
