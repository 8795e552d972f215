// The safetensors format: 8 bytes header length, a JSON header, then the bytes of all tensors.
// https://github.com/huggingface/safetensors#format
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/files.h"
#include "runtime/named_tensor.h"

namespace lathe {

struct SafetensorsFile {
  std::map<std::string, std::string> metadata;
  std::vector<NamedTensor> tensors;  // in the order of their bytes in the file

  // Null where the file has no such tensor.
  const Tensor* find(std::string_view name) const;
};

// Maps the file; tensors view the mapping, except that one whose bytes are not aligned for its
// element type is copied. All types but the 8-bit floats are known. Everything the format promises
// is checked (header length, types, shape against byte range, ranges without overlap or hole, no
// name twice, booleans 0 or 1); a breach is a user error naming the file and the tensor.
SafetensorsFile read_safetensors(const std::string& path);

// The same from memory; `owner` keeps `bytes` alive, `place` opens every message.
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes,
                                  std::shared_ptr<const void> owner, const std::string& place);

// Writes the file atomically (see write_file_atomically). The data begins at a multiple of 64
// bytes, and tensors stand in the order given, wider element types first, so that each is aligned
// for its element type. A name given twice, or one that is not UTF-8, is a user error.
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});
// The same into a file that is being written.
void write_safetensors(FileWriter& out, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace lathe
