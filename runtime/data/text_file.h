// Whole files of data, read through gzip where their content is that, whatever the name.
//
// Errors (kind User) name the path and the reason: missing, no permission, a folder, gzip data cut
// short or damaged, a file larger than the limit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lathe::data {

// What one file may expand to in memory; a guard against gzip bombs.
inline constexpr int64_t kMaxFileBytes = int64_t{8} << 30;

// A name that ends in .gz must hold gzip data.
std::string read_bytes(const std::string& path, int64_t max_bytes = kMaxFileBytes);

struct TextFile {
  std::string text;      // valid UTF-8 without byte order mark; line ends as in the file
  int64_t replaced = 0;  // bytes that were not valid UTF-8 and became U+FFFD
};

// UTF-16 and NUL bytes are errors: the file is not what the caller takes it for.
TextFile read_text(const std::string& path);

}  // namespace lathe::data
