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
#include "runtime/temporary_folder.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

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
    fail(
        "cannot start '{}', which makes the library of its parts: {}; install it, or use --emit "
        "llvm "
        "or asm, which need none",
        argv[0], std::strerror(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail("'{}' failed to make the library:\n{}", argv[0], read_text_file(log));
}

// lib`target`.a (runtime/CMakeLists.txt), beside the running program (bin/../lib) or in its folder.
std::string archive(const std::string& target) {
  const fs::path self = fs::read_symlink("/proc/self/exe").parent_path();
  const std::string file = "lib" + target + ".a";
  for (const fs::path& candidate :
       {self / "../lib" / file, self / file, fs::path(LATHE_LIBRARY_FOLDER) / file})
    if (fs::exists(candidate)) return fs::weakly_canonical(candidate).string();
  fail("{} is not beside {}; build the target {}", file, self.string(), target);
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
  LlvmOptions llvm_options;
  llvm_options.triple = options.triple;
  return (*llvm)->emit(jobs_of(p, options), options.target, kind, llvm_options).value();
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
  write_file_atomically(to, read_text_file(from, int64_t{1} << 40));
}

// Makes all symbols of an object local but the interface, so that a program may link several with
// parts of the same archive.
void keep_global(const LibraryOptions& options, const std::string& object, const std::string& log) {
  std::vector<std::string> command = {"objcopy"};
  for (const char* function : {"run", "predict", "workspace_bytes"})
    command.push_back(fmt::format("--keep-global-symbol={}_{}", options.name, function));
  command.push_back(object);
  run_compiler(command, log);
}

void link(const Program& p, const LibraryOptions& options, const std::string& path) {
  const TemporaryFolder scratch;
  const std::string weights = scratch.path("weights"), kernels = scratch.path("kernels.o"),
                    driver = scratch.path("driver.c"), result = scratch.path("result"),
                    driver_object = scratch.path("driver.o"), log = scratch.path("log");
  write_weights(p.plan, weights);
  write_file_atomically(kernels, emit_kernels(p, options, EmitKind::object));
  write_file_atomically(driver, driver_source(p, options, weights));
  run_compiler(
      {options.compiler, "-O1", "-fPIC", "-fvisibility=hidden", "-c", driver, "-o", driver_object},
      log);
  const bool sorts = !sort_functions(p.plan).empty();
  std::vector<std::string> command;
  if (options.kind == LibraryKind::Object) command = {options.compiler, "-r", "-nostdlib"};
  else if (options.text) command = {"c++", "-shared", "-static-libstdc++", "-static-libgcc"};
  else command = {options.compiler, "-shared"};
  command.insert(command.end(), {driver_object, kernels});
  if (options.text) command.insert(command.end(), {archive("lathe_text"), "-l:libutf8proc.a"});
  if (sorts) command.push_back(archive("lathe_argsort"));
  if (options.kind == LibraryKind::Object) command.push_back("-Wl,--force-group-allocation");
  else
    command.insert(command.end(),
                   {"-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-Wl,-z,noexecstack", "-Wl,-s"});
  command.insert(command.end(), {"-o", result});
  run_compiler(command, log);
  if (options.kind == LibraryKind::Object && (options.text || sorts))
    keep_global(options, result, log);
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
    case LibraryKind::Header: write_file_atomically(path, library_header(p, options)); return;
    case LibraryKind::Llvm:
      write_file_atomically(path, emit_kernels(p, options, EmitKind::llvm));
      return;
    case LibraryKind::Assembly:
      write_file_atomically(path, emit_kernels(p, options, EmitKind::assembly));
      return;
    case LibraryKind::Object:
    case LibraryKind::SharedLibrary: break;
  }
  link(p, options, path);
  write_file_atomically(fs::path(path).replace_extension(".h").string(),
                        library_header(p, options));
}

}  // namespace lathe
