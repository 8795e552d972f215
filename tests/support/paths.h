// Files that tests read. Their places differ from checkout to checkout, so one object alone holds
// them and all others stay the same in ccache.
#pragma once

#include <string>

namespace lathe::testing {

// A file of this repository.
std::string source_path(const std::string& name);

// A file of the folder with models and data beside the repository, which may be absent.
std::string shared_path(const std::string& name);

}  // namespace lathe::testing
