#include "backends/llvm_module.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <filesystem>
#include <mutex>

#include "backends/llvm_table.h"
#include "runtime/options.h"

namespace lathe {

struct LlvmLoader {
  static void set(LlvmBackend& backend, const LlvmTable* table) { backend.table_ = table; }
};

namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "liblathe_llvm.so";

// Where the module may be, in order.
std::vector<fs::path> candidates(const std::string& module_path) {
  if (!options().llvm_module.empty()) return {options().llvm_module};
  std::vector<fs::path> out;
  if (!module_path.empty()) out.emplace_back(module_path);
  std::vector<fs::path> homes;
  Dl_info here;
  if (dladdr(reinterpret_cast<const void*>(&candidates), &here) && here.dli_fname)
    homes.push_back(fs::path(here.dli_fname).parent_path());
  std::error_code ignored;
  homes.push_back(fs::read_symlink("/proc/self/exe", ignored).parent_path());
  for (const fs::path& home : homes) {
    if (home.empty()) continue;
    out.push_back(home / kFile);
    out.push_back(home / ".." / "lib" / kFile);
  }
#ifdef LATHE_LLVM_BUILT_MODULE
  out.emplace_back(LATHE_LLVM_BUILT_MODULE);
#endif
  return out;
}

Result<const LlvmTable*> load(const std::string& module_path) {
#ifndef LATHE_LLVM_BUILT_MODULE
  if (module_path.empty()) return failure("this Lathe was built without LLVM (-DLATHE_LLVM=OFF)");
#endif
  std::string tried;
  for (const fs::path& path : candidates(module_path)) {
    std::error_code ignored;
    tried += (tried.empty() ? "" : ", ") + path.string();
    if (!fs::exists(path, ignored)) continue;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) return failure("cannot load the LLVM backend: {}", dlerror());
    const auto* table = static_cast<const LlvmTable*>(dlsym(handle, kLlvmTableSymbol));
    if (!table || table->version != kLlvmTableVersion)
      return failure("{} belongs to another version of Lathe (expected table version {})",
                     path.string(), kLlvmTableVersion);
    return table;
  }
  return failure("cannot find the LLVM backend {}; looked at {}", kFile, tried);
}

}  // namespace

Result<LlvmBackend*> LlvmBackend::open(const std::string& module_path) {
  static std::mutex mutex;
  static LlvmBackend backend;
  const std::lock_guard lock(mutex);
  if (!backend.table_) {
    auto table = load(module_path);
    if (!table) return Failure{table.error()};
    LlvmLoader::set(backend, *table);
  }
  return &backend;
}

std::string LlvmBackend::build_identity() {
  for (const fs::path& path : candidates("")) {
    struct stat file{};
    if (stat(path.c_str(), &file) == 0)
      return fmt::format("module {} {}.{}", file.st_size, file.st_mtim.tv_sec,
                         file.st_mtim.tv_nsec);
  }
  return "";
}

std::unique_ptr<KernelCompiler> LlvmBackend::compiler(const Target& target,
                                                      const LlvmOptions& options) {
  return table_->compiler(target, options);
}

Result<std::string> LlvmBackend::emit(std::span<const KernelJob> jobs, const Target& target,
                                      EmitKind kind, const LlvmOptions& options) {
  return table_->emit(jobs, target, kind, options);
}

Result<CpuTarget> LlvmBackend::find_cpu(const std::string& triple, const std::string& cpu) {
  return table_->find_cpu(triple, cpu);
}

const char* LlvmBackend::llvm_version() const { return table_->llvm_version; }

}  // namespace lathe
