// A folder of one's own for the time of one job.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lathe {

// Made below the system's folder for temporary files ($TMPDIR, else /tmp) and removed with
// everything in it. A user error with the reason where it cannot be made.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  // Of the file `name` in it; of the folder itself without a name.
  std::string path(std::string_view name = "") const;

 private:
  std::filesystem::path path_;
};

}  // namespace lathe
