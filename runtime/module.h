// Parts of Lathe that are shared objects of their own, opened when they are first needed, because
// what they link takes long to load. C++ types may cross: both sides come from one build.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ir/base/error.h"

namespace lathe {

// Where the module `file` may be, in order: `given` alone where it is not empty, else beside this
// program or library, in ../lib from there, and where it was built.
std::vector<std::filesystem::path> module_places(const std::string& file,
                                                 const std::string& given = "");

// The address of `symbol` in the first of these files that is there. A failure names what was
// looked at, or the loader's reason. The module stays open.
Result<const void*> module_symbol(const std::vector<std::filesystem::path>& places,
                                  const char* symbol);

}  // namespace lathe
