#include "backends/llvm_module.h"

#include <sys/stat.h>

#include <mutex>

#include "backends/llvm_table.h"
#include "runtime/module.h"
#include "runtime/options.h"

namespace lathe {

struct LlvmLoader {
  static void set(LlvmBackend& backend, const LlvmTable* table) { backend.table_ = table; }
};

namespace {

std::vector<std::filesystem::path> places(const std::string& module_path) {
  constexpr const char* kFile = "liblathe_llvm.so";
  std::vector<std::filesystem::path> out = module_places(kFile, options().llvm_module);
  if (options().llvm_module.empty() && !module_path.empty()) out.insert(out.begin(), module_path);
  return out;
}

Result<const LlvmTable*> load(const std::string& module_path) {
#ifndef LATHE_WITH_LLVM
  if (module_path.empty()) return failure("this Lathe was built without LLVM (-DLATHE_LLVM=OFF)");
#endif
  const auto found = module_symbol(places(module_path), kLlvmTableSymbol);
  if (!found) return failure("the LLVM backend liblathe_llvm.so: {}", found.error());
  const auto* table = static_cast<const LlvmTable*>(*found);
  if (table->version != kLlvmTableVersion)
    return failure(
        "liblathe_llvm.so belongs to another version of Lathe (expected table version {})",
        kLlvmTableVersion);
  return table;
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
  for (const std::filesystem::path& path : places("")) {
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
