// Compiled kernels on disk, one file each, found again by everything that determines them.
//
// An entry carries its whole identity and a checksum; one that does not match in every byte counts
// as missing and is written anew. Files appear by rename, so a reader never sees half of one. A
// directory that cannot be used only makes the cache empty: compiling goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "backends/kernel_code.h"

namespace lathe {

class CodeCache {
 public:
  // An empty directory name: nothing is found and nothing kept. `limit` in bytes.
  CodeCache(std::filesystem::path directory, int64_t limit)
      : directory_(std::move(directory)), limit_(limit) {}

  // `identity` is the kernel's and schedule's text, the features, and the versions. Thread-safe.
  std::optional<KernelCode> find(const std::string& identity) const;
  void keep(const std::string& identity, const KernelCode& code) const;
  // Removes the oldest entries until what is left fits the limit. Looks through the directory only
  // at the process's first call and once it has kept a sixteenth of the limit since the last, for
  // that takes longer than compiling a small model once there are thousands of entries.
  void trim() const;

 private:
  std::filesystem::path file_of(const std::string& identity) const;

  std::filesystem::path directory_;
  int64_t limit_;
};

}  // namespace lathe
