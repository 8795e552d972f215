// Zip archives (.npz, .keras) as name -> bytes, in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct zip;

namespace lathe {

using Bytes = std::vector<std::byte>;

// Reads stored and deflated entries. No claim of the archive is trusted: an entry that says it is
// larger than its compressed bytes can become is refused before memory is taken, checksums are
// verified, and all reads together give at most `max_total_bytes`. All errors are user errors or
// unsupported, and begin with `place`.
class ZipReader {
 public:
  ZipReader(std::span<const std::byte> bytes, std::string place,
            uint64_t max_total_bytes = uint64_t{4} << 30);

  // In the archive's order; no name occurs twice.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const;
  // Precondition: contains(name).
  Bytes read(const std::string& name);

 private:
  struct Close {
    void operator()(struct zip* archive) const;
  };

  std::span<const std::byte> bytes_;
  std::string place_;
  uint64_t budget_;
  std::unique_ptr<struct zip, Close> archive_;
  std::vector<std::string> names_;
};

struct ZipEntry {
  std::string name;
  std::vector<std::span<const std::byte>> pieces;  // written one after the other; borrowed
};

// Writes an archive atomically (see write_file_atomically). It is put together in memory first.
// The same entries give the same bytes: no time is recorded.
void write_zip(const std::string& path, const std::vector<ZipEntry>& entries, bool compress);

}  // namespace lathe
