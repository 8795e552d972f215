#include "frontend/onnx/wire.h"

#include <cstring>

namespace lathe::onnx {

void WireReader::malformed(const char* why) const {
  fail("{}: not an ONNX file: {} at byte {} of a message of {}", file_, why, at_, bytes_.size());
}

uint64_t WireReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ >= bytes_.size()) malformed("it ends in the middle of a number");
    const auto byte = static_cast<uint64_t>(bytes_[at_++]);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  malformed("a number has more than 64 bits");
}

bool WireReader::next() {
  if (at_ >= bytes_.size()) return false;
  const uint64_t tag = varint();
  const uint64_t kind = tag & 7;
  if (tag >> 3 == 0 || tag >> 32 != 0) malformed("a field has no valid number");
  if (kind != 0 && kind != 1 && kind != 2 && kind != 5) malformed("a field has an unknown format");
  field_ = static_cast<int>(tag >> 3);
  kind_ = static_cast<Kind>(kind);
  return true;
}

void WireReader::expect(Kind kind) {
  if (kind_ != kind) malformed("a field has another format than the ONNX schema gives it");
}

template <class T>
T WireReader::fixed() {
  if (bytes_.size() - at_ < sizeof(T)) malformed("it ends in the middle of a number");
  T value;
  std::memcpy(&value, bytes_.data() + at_, sizeof(T));
  at_ += sizeof(T);
  return value;
}

int64_t WireReader::integer() {
  expect(Kind::Varint);
  return static_cast<int64_t>(varint());
}

float WireReader::f32() {
  expect(Kind::Fixed32);
  return fixed<float>();
}

Bytes WireReader::bytes() {
  expect(Kind::Length);
  const uint64_t size = varint();
  if (size > bytes_.size() - at_) malformed("a field is longer than what is left");
  const Bytes out = bytes_.subspan(at_, size);
  at_ += size;
  return out;
}

std::string WireReader::text() {
  const Bytes b = bytes();
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

void WireReader::skip() {
  switch (kind_) {
    case Kind::Varint: varint(); return;
    case Kind::Fixed64: fixed<uint64_t>(); return;
    case Kind::Length: bytes(); return;
    case Kind::Fixed32: fixed<uint32_t>(); return;
  }
}

void WireReader::append(std::vector<int64_t>& out) {
  if (kind_ == Kind::Varint) {
    out.push_back(integer());
    return;
  }
  WireReader packed = message();
  while (packed.at_ < packed.bytes_.size()) out.push_back(static_cast<int64_t>(packed.varint()));
}

template <class T>
void WireReader::append_fixed(std::vector<T>& out, Kind single) {
  if (kind_ == single) {
    out.push_back(fixed<T>());
    return;
  }
  const Bytes b = bytes();
  if (b.size() % sizeof(T) != 0) malformed("packed numbers are cut off");
  const size_t old = out.size();
  out.resize(old + b.size() / sizeof(T));
  if (!b.empty()) std::memcpy(out.data() + old, b.data(), b.size());
}

void WireReader::append(std::vector<float>& out) { append_fixed(out, Kind::Fixed32); }
void WireReader::append(std::vector<double>& out) { append_fixed(out, Kind::Fixed64); }

}  // namespace lathe::onnx
