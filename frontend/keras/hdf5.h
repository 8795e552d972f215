// Reading HDF5 files that nobody vouches for, through the HDF5 C library, which is loaded then
// (liblathe_hdf5.so; it brings some forty others).
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
  virtual ~Hdf5File() = default;

  // "/" is a group.
  virtual const std::set<std::string>& groups() const = 0;
  virtual const std::set<std::string>& datasets() const = 0;

  // Precondition: datasets().contains(path). Numbers of the usual types (any byte order), h5py's
  // booleans, and bfloat16 as Keras stores it.
  virtual Tensor read(const std::string& path) = 0;

  // Absent where the group has no such attribute. Precondition: groups().contains(group).
  virtual std::optional<std::vector<std::string>> strings(const std::string& group,
                                                          const std::string& attribute) const = 0;
  // The same for an attribute of one string.
  virtual std::optional<std::string> string(const std::string& group,
                                            const std::string& attribute) const = 0;
};

// Borrows `bytes`, which must outlive the object and are not copied. `place` opens every message.
// All datasets read together may take `max_total_bytes`.
std::unique_ptr<Hdf5File> open_hdf5(std::span<const std::byte> bytes, std::string place,
                                    uint64_t max_total_bytes = uint64_t{4} << 30);

// What the module offers under the name kHdf5Symbol.
using OpenHdf5 = std::unique_ptr<Hdf5File> (*)(std::span<const std::byte> bytes, std::string place,
                                               uint64_t max_total_bytes);
inline constexpr const char* kHdf5Symbol = "lathe_hdf5_1";

}  // namespace lathe
