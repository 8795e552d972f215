// What tests of files share: a folder that goes away, and the message of an error.
#pragma once

#include <doctest/doctest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "ir/base/error.h"
#include "runtime/temporary_folder.h"

namespace lathe::testing {

class ScratchFolder : public TemporaryFolder {
 public:
  // Files and folders directly in it.
  int64_t entries() const { return std::distance(std::filesystem::directory_iterator(path()), {}); }

  // Both make the folders above and return the path.
  std::string write(std::string_view name, std::string_view content) const {
    const std::filesystem::path file = path(name);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream out(file, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    REQUIRE(out.good());
    return file.string();
  }
  std::string write_gzip(std::string_view name, std::string_view content) const {
    const std::string file = path(name);
    const gzFile out = gzopen(file.c_str(), "wb");
    REQUIRE(gzwrite(out, content.data(), static_cast<unsigned>(content.size())) ==
            static_cast<int>(content.size()));
    REQUIRE(gzclose(out) == Z_OK);
    return file;
  }
};

// The message of the user error that `f` throws; "no error" if it throws none. Other exceptions
// pass, and fail the test.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::User) throw;
    return e.what();
  }
  return "no error";
}

// Whether all parts occur in `message`; on failure doctest shows the message.
inline void check_names(const std::string& message, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    CAPTURE(message);
    CAPTURE(part);
    CHECK(message.find(part) != std::string::npos);
  }
}

}  // namespace lathe::testing
