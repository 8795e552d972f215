#include "runtime/zip_archive.h"

#include <zip.h>

#include <algorithm>
#include <set>

#include "ir/base/error.h"
#include "runtime/files.h"
#include "runtime/json.h"

namespace lathe {
namespace {

std::string text(zip_error_t& error) {
  std::string out = zip_error_strerror(&error);
  zip_error_fini(&error);
  return out;
}

// Deflate turns one byte into at most 1032 (RFC 1951: 258 bytes from 2 bits).
constexpr uint64_t kMaxRatio = 1032;

void check_entry(const zip_stat_t& stat, uint64_t archive_bytes, const std::string& place) {
  constexpr uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if ((stat.valid & needed) != needed || stat.comp_size > archive_bytes)
    fail("{}: the entry's compressed size is missing or exceeds the file", place);
  if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE)
    fail_unsupported("{}: encrypted entries are not supported", place);
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
    fail_unsupported("{}: zip compression method {} is not supported, only stored and deflated",
                     place, stat.comp_method);
  const uint64_t ratio = stat.comp_method == ZIP_CM_STORE ? 1 : kMaxRatio;
  if (stat.size > stat.comp_size * ratio)
    fail("{}: {} compressed bytes cannot become the {} that the entry claims", place,
         stat.comp_size, stat.size);
}

using FileHandle = std::unique_ptr<zip_file_t, decltype([](zip_file_t* f) { zip_fclose(f); })>;
using SourceHandle =
    std::unique_ptr<zip_source_t, decltype([](zip_source_t* s) { zip_source_free(s); })>;

// An archive being built; discarded unless it was closed.
using BuilderHandle = std::unique_ptr<zip_t, decltype([](zip_t* z) { zip_discard(z); })>;

void add_entry(zip_t* archive, const ZipEntry& entry, bool compress, const std::string& path) {
  std::vector<zip_buffer_fragment_t> fragments;
  for (const auto piece : entry.pieces) {
    if (piece.empty()) continue;
    auto* data = reinterpret_cast<zip_uint8_t*>(const_cast<std::byte*>(piece.data()));
    fragments.push_back({data, piece.size()});
  }
  zip_source_t* source = zip_source_buffer_fragment(archive, fragments.data(), fragments.size(), 0);
  const zip_int64_t index =
      source == nullptr ? -1 : zip_file_add(archive, entry.name.c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    if (source != nullptr) zip_source_free(source);
    fail("cannot write '{}': entry {}: {}", path, quote_text(entry.name), zip_strerror(archive));
  }
  const auto i = static_cast<zip_uint64_t>(index);
  constexpr zip_uint16_t first_of_january_1980 = 0x21;
  if (zip_file_set_dostime(archive, i, 0, first_of_january_1980, 0) != 0 ||
      zip_set_file_compression(archive, i, compress ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) != 0)
    fail("cannot write '{}': entry {}: {}", path, quote_text(entry.name), zip_strerror(archive));
}

void copy_to_file(zip_source_t* source, FileWriter& out, const std::string& path) {
  if (zip_source_open(source) != 0)
    fail("cannot write '{}': {}", path, zip_error_strerror(zip_source_error(source)));
  Bytes chunk(size_t{1} << 20);
  zip_int64_t n = 0;
  while ((n = zip_source_read(source, chunk.data(), chunk.size())) > 0)
    out.write(chunk.data(), static_cast<size_t>(n));
  zip_source_close(source);
  if (n < 0) fail("cannot write '{}': {}", path, zip_error_strerror(zip_source_error(source)));
}

}  // namespace

void ZipReader::Close::operator()(struct zip* archive) const { zip_discard(archive); }

ZipReader::ZipReader(std::span<const std::byte> bytes, std::string place, uint64_t max_total_bytes)
    : bytes_(bytes), place_(std::move(place)), budget_(max_total_bytes) {
  constexpr size_t end_record = 22;  // libzip would take an empty file for an empty archive
  if (bytes.size() < end_record)
    fail("{}: not a zip archive: it has {} bytes, at least {} were expected", place_, bytes.size(),
         end_record);
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (source == nullptr) fail("{}: {}", place_, text(error));
  archive_.reset(zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
  if (!archive_) {
    zip_source_free(source);
    fail("{}: not a zip archive, or damaged: {}", place_, text(error));
  }
  zip_error_fini(&error);
  std::set<std::string> seen;
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
    if (name == nullptr) fail("{}: entry {}: {}", place_, i, zip_strerror(archive_.get()));
    if (!seen.insert(name).second) fail("{}: entry {} occurs twice", place_, quote_text(name));
    names_.emplace_back(name);
  }
}

bool ZipReader::contains(const std::string& name) const {
  return std::ranges::find(names_, name) != names_.end();
}

Bytes ZipReader::read(const std::string& name) {
  const std::string place = fmt::format("{}: entry {}", place_, quote_text(name));
  const auto it = std::ranges::find(names_, name);
  LATHE_ASSERT(it != names_.end(), "{}", place);
  const auto index = static_cast<zip_uint64_t>(it - names_.begin());
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(archive_.get(), index, 0, &stat) != 0)
    fail("{}: {}", place, zip_strerror(archive_.get()));
  check_entry(stat, bytes_.size(), place);
  if (stat.size > budget_)
    fail("{}: {} bytes exceed what is left of the archive's memory budget, {}", place, stat.size,
         budget_);
  budget_ -= stat.size;

  const FileHandle file(zip_fopen_index(archive_.get(), index, 0));
  if (!file) fail("{}: {}", place, zip_strerror(archive_.get()));
  Bytes out(stat.size);
  size_t done = 0;
  zip_int64_t n = 0;
  while (done < out.size() && (n = zip_fread(file.get(), out.data() + done, out.size() - done)) > 0)
    done += static_cast<size_t>(n);
  // libzip compares the checksum when it meets the end.
  std::byte beyond;
  if (n >= 0 && done == out.size()) n = zip_fread(file.get(), &beyond, 1);
  if (n < 0) fail("{}: {}", place, zip_file_strerror(file.get()));
  if (n > 0 || done != out.size())
    fail("{}: the content is not the {} bytes that the entry claims", place, stat.size);
  return out;
}

void write_zip(const std::string& path, const std::vector<ZipEntry>& entries, bool compress) {
  zip_error_t error;
  zip_error_init(&error);
  const SourceHandle source(zip_source_buffer_create(nullptr, 0, 0, &error));
  if (!source) fail("cannot write '{}': {}", path, text(error));
  zip_source_keep(source.get());  // zip_close gives up its reference; the content is ours to read
  BuilderHandle archive(zip_open_from_source(source.get(), ZIP_TRUNCATE, &error));
  if (!archive) {
    zip_source_free(source.get());
    fail("cannot write '{}': {}", path, text(error));
  }
  zip_error_fini(&error);
  for (const ZipEntry& entry : entries) add_entry(archive.get(), entry, compress, path);
  if (zip_close(archive.get()) != 0)
    fail("cannot write '{}': {}", path, zip_strerror(archive.get()));
  static_cast<void>(archive.release());
  write_file_atomically(path, [&](FileWriter& out) {
    // An archive without entries is no archive to libzip: 22 bytes, the end record alone.
    constexpr char empty[22] = {'P', 'K', 5, 6};
    if (entries.empty()) out.write(empty, sizeof empty);
    else copy_to_file(source.get(), out, path);
  });
}

}  // namespace lathe
