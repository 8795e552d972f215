// NumPy's .npz: a zip archive of .npy files.
#pragma once

#include <string>
#include <vector>

#include "runtime/named_tensor.h"

namespace lathe {

// The arrays in the archive's order, named without ".npy". Entries may be stored or deflated and
// come to at most 4 GiB together. Errors name the file and the entry (see npy.h, zip_archive.h).
std::vector<NamedTensor> read_npz(const std::string& path);

// Writes the archive atomically. bfloat16 is written as '<u2' (see npy.h). A name given twice is
// a user error.
void write_npz(const std::string& path, const std::vector<NamedTensor>& tensors,
               bool compress = false);

}  // namespace lathe
