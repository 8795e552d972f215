// Reading HDF5 files that nobody vouches for, through the HDF5 C library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ir/base/tensor.h"

namespace lathe {

// An HDF5 file in memory. Objects are named by absolute path ("/layers/dense/vars/0"). Only hard
// links are followed; data outside the file (external links, external storage, virtual datasets)
// is refused. All errors are user errors or unsupported that name the file, the object, what was
// expected and the library's own reason; the library prints nothing. To be used from one thread.
class Hdf5File {
 public:
  // Borrows `bytes`, which must outlive the object and are not copied. `place` opens every message.
  // All datasets read together may take `max_total_bytes`.
  Hdf5File(std::span<const std::byte> bytes, std::string place,
           uint64_t max_total_bytes = uint64_t{4} << 30);
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;
  ~Hdf5File();

  // "/" is a group.
  const std::set<std::string>& groups() const { return groups_; }
  const std::set<std::string>& datasets() const { return datasets_; }

  // Precondition: datasets().contains(path). Numbers of the usual types (any byte order), h5py's
  // booleans, and bfloat16 as Keras stores it.
  Tensor read(const std::string& path);

  // Absent where the group has no such attribute. Precondition: groups().contains(group).
  std::optional<std::vector<std::string>> strings(const std::string& group,
                                                  const std::string& attribute) const;
  // The same for an attribute of one string.
  std::optional<std::string> string(const std::string& group, const std::string& attribute) const;

 private:
  void collect(const std::string& group, int depth);
  void add_object(const std::string& path, int depth);
  [[noreturn]] void refuse(const std::string& object, const std::string& problem) const;

  std::span<const std::byte> bytes_;
  std::string place_;
  uint64_t budget_;
  struct Session;  // the library's state: the open file, its error printing switched off
  std::unique_ptr<Session> session_;
  std::set<std::string> groups_;
  std::set<std::string> datasets_;
};

}  // namespace lathe
