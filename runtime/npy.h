// NumPy's .npy format, versions 1 to 3.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "ir/base/tensor.h"

namespace lathe {

// Maps the file; a C-ordered array whose bytes are aligned for its element type is viewed, any
// other is copied into row-major order. Little-endian numbers and booleans are known; strings,
// Python objects, records, complex numbers and big-endian numbers are unsupported. Malformed
// headers, a size other than the shape's and booleans other than 0 or 1 are user errors naming
// the file.
Tensor read_npy(const std::string& path);

// The same from memory; `owner` keeps `bytes` alive, `place` opens every message.
Tensor parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                 const std::string& place);

// Writes version 1, C order, data at a multiple of 64 bytes, atomically. NumPy has no bfloat16:
// such tensors are written as '<u2', their bits.
void write_npy(const std::string& path, const Tensor& tensor);

// Everything of an .npy file that stands before the tensor's bytes.
std::string npy_header(const Tensor& tensor);

}  // namespace lathe
