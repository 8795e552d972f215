#include "tests/support/paths.h"

namespace lathe::testing {

std::string source_path(const std::string& name) { return LATHE_SOURCE_DIR "/" + name; }

std::string shared_path(const std::string& name) { return LATHE_SHARED_DIR "/" + name; }

}  // namespace lathe::testing
