#include "runtime/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "ir/base/error.h"

namespace lathe {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  const fs::path above = fs::temp_directory_path(error);
  if (error)
    fail("no folder for temporary files: {}; expected one at $TMPDIR or /tmp", error.message());
  std::string pattern = (above / "lathe-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    fail("cannot make a folder below '{}': {}", above.string(),
         std::generic_category().message(errno));
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TemporaryFolder::path(std::string_view name) const {
  return name.empty() ? path_.string() : (path_ / name).string();
}

}  // namespace lathe
