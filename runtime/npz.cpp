#include "runtime/npz.h"

#include <set>

#include "runtime/files.h"
#include "runtime/json.h"
#include "runtime/npy.h"
#include "runtime/zip_archive.h"

namespace lathe {

static constexpr std::string_view kSuffix = ".npy";

std::vector<NamedTensor> read_npz(const std::string& path) {
  const auto file = MappedFile::open(path);
  ZipReader archive(file->bytes(), path);
  std::vector<NamedTensor> tensors;
  for (const std::string& entry : archive.names()) {
    const std::string place = fmt::format("{}: entry {}", path, quote_text(entry));
    if (!entry.ends_with(kSuffix)) fail("{}: a name ending in .npy was expected", place);
    const auto content = std::make_shared<const Bytes>(archive.read(entry));
    tensors.push_back(
        {entry.substr(0, entry.size() - kSuffix.size()), parse_npy(*content, content, place)});
  }
  return tensors;
}

void write_npz(const std::string& path, const std::vector<NamedTensor>& tensors, bool compress) {
  std::set<std::string_view> seen;
  std::vector<std::string> headers;
  headers.reserve(tensors.size());  // the entries below point into it
  std::vector<ZipEntry> entries;
  for (const NamedTensor& t : tensors) {
    if (!seen.insert(t.name).second)
      fail("cannot write '{}': the array name {} is given twice", path, quote_text(t.name));
    headers.push_back(npy_header(t.tensor));
    const auto* data = static_cast<const std::byte*>(t.tensor.raw());
    entries.push_back({t.name + std::string(kSuffix),
                       {std::as_bytes(std::span(headers.back())),
                        {data, static_cast<size_t>(t.tensor.bytes())}}});
  }
  write_zip(path, entries, compress);
}

}  // namespace lathe
