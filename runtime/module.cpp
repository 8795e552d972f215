#include "runtime/module.h"

#include <dlfcn.h>

namespace lathe {

namespace fs = std::filesystem;

std::vector<fs::path> module_places(const std::string& file, const std::string& given) {
  if (!given.empty()) return {given};
  std::vector<fs::path> homes, out;
  Dl_info here;
  if (dladdr(reinterpret_cast<const void*>(&module_places), &here) && here.dli_fname)
    homes.push_back(fs::path(here.dli_fname).parent_path());
  std::error_code ignored;
  homes.push_back(fs::read_symlink("/proc/self/exe", ignored).parent_path());
  for (const fs::path& home : homes) {
    if (home.empty()) continue;
    out.push_back(home / file);
    out.push_back(home / ".." / "lib" / file);
  }
  out.push_back(fs::path(LATHE_MODULE_FOLDER) / file);
  return out;
}

Result<const void*> module_symbol(const std::vector<fs::path>& places, const char* symbol) {
  std::string tried;
  for (const fs::path& path : places) {
    std::error_code ignored;
    tried += (tried.empty() ? "" : ", ") + path.string();
    if (!fs::exists(path, ignored)) continue;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) return failure("cannot load it: {}", dlerror());
    const void* found = dlsym(handle, symbol);
    if (!found) return failure("{} belongs to another version of Lathe", path.string());
    return found;
  }
  return failure("not found; looked at {}", tried);
}

}  // namespace lathe
