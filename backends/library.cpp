#include "backends/library.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "backends/library_driver.h"
#include "backends/llvm_module.h"
#include "runtime/files.h"
#include "runtime/options.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

// A folder of our own below the temporary one, removed with everything in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "lathe-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      fail("cannot make a folder below {}: {}", fs::temp_directory_path().string(),
           std::strerror(errno));
    path_ = pattern;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

void run_compiler(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), process_environment());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    fail("cannot start '{}' to link the library: {}; install g++, or use --emit obj", argv[0],
         std::strerror(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail("'{}' failed to link the library:\n{}", argv[0], read_text_file(log));
}

// The archive with the text front end, beside the running program (bin/../lib) or in its folder.
std::string text_archive() {
  const fs::path self = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& candidate : {self / "../lib/liblathe_text.a", self / "liblathe_text.a",
                                    fs::path(LATHE_LIBRARY_FOLDER) / "liblathe_text.a"})
    if (fs::exists(candidate)) return fs::weakly_canonical(candidate).string();
  fail("liblathe_text.a is not beside {}; build the target lathe_text", self.string());
}

std::vector<KernelJob> jobs_of(const Program& p, const LibraryOptions& options) {
  std::vector<KernelJob> jobs;
  for (int i = 0; i < std::ssize(p.kernels); ++i)
    jobs.push_back({&p.kernels[static_cast<size_t>(i)], p.schedules[static_cast<size_t>(i)],
                    kernel_symbol(options, i)});
  return jobs;
}

std::string emit_kernels(const Program& p, const LibraryOptions& options, EmitKind kind) {
  Result<LlvmBackend*> llvm = LlvmBackend::open();
  if (!llvm) fail("native code needs the LLVM backend: {}", llvm.error());
  return (*llvm)->emit(jobs_of(p, options), options.target, kind).value();
}

void write_weights(const Plan& plan, const std::string& path) {
  std::ofstream out(path, std::ios::binary);
  const std::string padding(64, '\0');
  for (const Tensor& t : plan.constants) {
    out.write(static_cast<const char*>(t.raw()), t.bytes());
    out.write(padding.data(), (64 - t.bytes() % 64) % 64);
  }
  if (!out.flush()) fail("cannot write {}: {}", path, std::strerror(errno));
}

void copy_into_place(const std::string& from, const std::string& to) {
  const std::string bytes = read_text_file(from, int64_t{1} << 40);
  write_file_atomically(to, [&](FileWriter& w) { w.write(std::string_view(bytes)); });
}

void write_text(const std::string& path, const std::string& text) {
  write_file_atomically(path, [&](FileWriter& w) { w.write(std::string_view(text)); });
}

void link(const Program& p, const LibraryOptions& options, const std::string& path) {
  const ScratchFolder scratch;
  const std::string weights = scratch.file("weights"), kernels = scratch.file("kernels.o"),
                    driver = scratch.file("driver.c"), result = scratch.file("result"),
                    driver_object = scratch.file("driver.o"), log = scratch.file("log");
  write_weights(p.plan, weights);
  write_text(kernels, emit_kernels(p, options, EmitKind::object));
  write_text(driver, driver_source(p, options, weights));
  run_compiler({"cc", "-O1", "-fPIC", "-fvisibility=hidden", "-c", driver, "-o", driver_object},
               log);
  if (options.kind == LibraryKind::Object) {
    run_compiler({"cc", "-r", "-nostdlib", driver_object, kernels, "-o", result}, log);
  } else if (options.text) {
    run_compiler({"c++", "-shared", "-static-libstdc++", "-static-libgcc", driver_object, kernels,
                  text_archive(), "-l:libutf8proc.a", "-Wl,--exclude-libs,ALL", "-Wl,--gc-sections",
                  "-Wl,-z,noexecstack", "-Wl,-s", "-o", result},
                 log);
  } else {
    run_compiler(
        {"cc", "-shared", driver_object, kernels, "-Wl,-z,noexecstack", "-Wl,-s", "-o", result},
        log);
  }
  copy_into_place(result, path);
}

}  // namespace

std::string c_identifier(std::string_view text) {
  std::string out;
  for (const char c : text) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0])) != 0) out = "model_" + out;
  return out;
}

void write_library(const Program& p, const LibraryOptions& options, const std::string& path) {
  for (const Port& out : p.plan.outputs)
    if (out.updates >= 0)
      fail("output '{}' updates an input: freeze the model before compiling it to a library",
           out.name);
  switch (options.kind) {
    case LibraryKind::Header: write_text(path, library_header(p, options)); return;
    case LibraryKind::Llvm: write_text(path, emit_kernels(p, options, EmitKind::llvm)); return;
    case LibraryKind::Assembly:
      write_text(path, emit_kernels(p, options, EmitKind::assembly));
      return;
    case LibraryKind::Object:
    case LibraryKind::SharedLibrary: break;
  }
  link(p, options, path);
  if (options.kind == LibraryKind::SharedLibrary)
    write_text(fs::path(path).replace_extension(".h").string(), library_header(p, options));
}

}  // namespace lathe
