// The protobuf wire format, read in place: nothing is copied, and no message can claim more bytes
// than the file has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/base/error.h"

namespace lathe::onnx {

using Bytes = std::span<const std::byte>;

// Iterates over the fields of one message:
//   while (r.next()) if (r.field() == 1) name = r.text(); else r.skip();
// Each field's value is taken exactly once, by the getter of its declared type or by skip(). What
// is malformed is a user error that names `file` (which must outlive the reader).
class WireReader {
 public:
  WireReader(Bytes bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  bool next();
  int field() const { return field_; }
  const std::string& file() const { return file_; }

  int64_t integer();  // int32, int64, uint64, enum and bool
  float f32();
  Bytes bytes();
  std::string text();
  void skip();
  WireReader message() { return {bytes(), file_}; }

  // Repeated numbers, packed or one at a time.
  void append(std::vector<int64_t>& out);
  void append(std::vector<float>& out);
  void append(std::vector<double>& out);

 private:
  enum class Kind : uint8_t { Varint = 0, Fixed64 = 1, Length = 2, Fixed32 = 5 };
  template <class T>
  void append_fixed(std::vector<T>& out, Kind single);
  template <class T>
  T fixed();
  uint64_t varint();
  void expect(Kind kind);
  [[noreturn]] void malformed(const char* why) const;

  Bytes bytes_;
  const std::string& file_;
  size_t at_ = 0;
  int field_ = 0;
  Kind kind_ = Kind::Varint;
};

}  // namespace lathe::onnx
