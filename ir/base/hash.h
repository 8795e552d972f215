// Stable 64-bit hashing: the same value on every run and machine, so hashes may name cache files.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace lathe {

// FNV-1a over bytes with a final avalanche (MurmurHash3's fmix64).
class Hasher {
 public:
  void bytes(const void* data, size_t size) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) state_ = (state_ ^ p[i]) * 0x100000001b3ull;
  }
  void add(uint64_t v) { bytes(&v, sizeof v); }
  void add(std::string_view s) {
    add(static_cast<uint64_t>(s.size()));
    bytes(s.data(), s.size());
  }
  uint64_t value() const {
    uint64_t h = state_;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdull;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return h ^ (h >> 33);
  }

 private:
  uint64_t state_ = 0xcbf29ce484222325ull;
};

inline uint64_t hash_text(std::string_view s) {
  Hasher h;
  h.add(s);
  return h.value();
}

}  // namespace lathe
