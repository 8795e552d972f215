#include "backends/code_cache.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include "ir/base/hash.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".lathe-kernel";

struct Header {
  char magic[8];
  uint64_t identity, method, code;  // bytes of each part
  uint64_t code_bytes, entry;       // as in KernelCode
  uint64_t checksum;                // of the parts and the two above
};
constexpr char kMagic[8] = {'L', 'A', 'T', 'H', 'E', 'K', 'C', '1'};

// Kept by this process since trim() looked; none has yet.
std::atomic<int64_t> kept_bytes{std::numeric_limits<int64_t>::max() / 2};

uint64_t checksum(std::string_view parts, const Header& h) {
  return hash_text(parts) ^ (h.code_bytes * 31 + h.entry);
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

fs::path CodeCache::file_of(const std::string& identity) const {
  return directory_ / fmt::format("{:016x}{}", hash_text(identity), kSuffix);
}

std::optional<KernelCode> CodeCache::find(const std::string& identity) const {
  if (directory_.empty()) return std::nullopt;
  const fs::path path = file_of(identity);
  const std::string bytes = read_file(path);
  Header h;
  if (bytes.size() < sizeof h) return std::nullopt;
  std::memcpy(&h, bytes.data(), sizeof h);
  const size_t rest = bytes.size() - sizeof h;
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0 || h.identity != identity.size() ||
      h.method > rest || h.code > rest || h.identity + h.method + h.code != rest ||
      h.code_bytes > h.code || h.entry >= h.code_bytes)
    return std::nullopt;
  const std::string_view parts = std::string_view(bytes).substr(sizeof h);
  if (parts.substr(0, h.identity) != identity || checksum(parts, h) != h.checksum)
    return std::nullopt;
  // The age that trim() goes by is that of the last use.
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
  return KernelCode{std::string(parts.substr(h.identity, h.method)),
                    std::string(parts.substr(h.identity + h.method)), h.code_bytes, h.entry};
}

void CodeCache::keep(const std::string& identity, const KernelCode& code) const {
  if (directory_.empty()) return;
  static std::atomic<unsigned> counter{0};
  std::error_code failed;
  fs::create_directories(directory_, failed);
  const std::string parts = identity + code.method + code.bytes;
  Header h{{}, identity.size(), code.method.size(), code.bytes.size(), code.code_bytes, code.entry,
           0};
  h.checksum = checksum(parts, h);
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  const fs::path path = file_of(identity);
  const fs::path part = path.string() + fmt::format(".{}.{}", getpid(), counter++);
  {
    std::ofstream out(part, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&h), sizeof h);
    out.write(parts.data(), static_cast<std::streamsize>(parts.size()));
    if (!out.flush()) failed = std::make_error_code(std::errc::io_error);
  }
  if (!failed) fs::rename(part, path, failed);
  if (failed) fs::remove(part, failed);
  else kept_bytes += static_cast<int64_t>(sizeof h + parts.size());
}

void CodeCache::trim() const {
  if (directory_.empty() || kept_bytes <= limit_ / 16) return;
  kept_bytes = 0;
  struct Entry {
    fs::file_time_type used;
    int64_t bytes;
    fs::path path;
  };
  std::vector<Entry> entries;
  int64_t total = 0;
  std::error_code ignored;
  for (const auto& e : fs::directory_iterator(directory_, ignored)) {
    if (e.path().extension() != kSuffix) continue;
    entries.push_back(
        {e.last_write_time(ignored), static_cast<int64_t>(e.file_size(ignored)), e.path()});
    total += entries.back().bytes;
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& e : entries) {
    if (total <= limit_) break;
    if (fs::remove(e.path, ignored)) total -= e.bytes;
  }
}

}  // namespace lathe
