#include "runtime/data/idx.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "runtime/data/text_file.h"

namespace lathe::data {
namespace {

std::optional<DType> element_type(uint8_t code) {
  switch (code) {
    case 0x08: return DType::u8;
    case 0x09: return DType::i8;
    case 0x0B: return DType::i16;
    case 0x0C: return DType::i32;
    case 0x0D: return DType::f32;
    case 0x0E: return DType::f64;
    default: return std::nullopt;
  }
}

uint32_t big_endian(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const std::string bytes = read_bytes(path);
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0)
    fail("{}: byte 0: no IDX magic number; expected 00 00, a type and the number of dims", path);
  const auto code = static_cast<uint8_t>(bytes[2]);
  const auto type = element_type(code);
  if (!type)
    fail("{}: byte 2: type 0x{:02x}; expected one of IDX: 08, 09, 0b, 0c, 0d, 0e", path, code);
  const auto rank = static_cast<size_t>(static_cast<unsigned char>(bytes[3]));
  const size_t header = 4 + 4 * rank;
  if (bytes.size() < header)
    fail("{}: {} bytes; expected a header of {} for {} dims", path, bytes.size(), header, rank);
  const auto content = static_cast<int64_t>(bytes.size() - header);
  Dims dims;
  __int128 expected = byte_size(*type);
  for (size_t d = 0; d < rank; ++d) {
    dims.push_back(big_endian(bytes, 4 + 4 * d));
    // Once past what any file holds it stays there, so the product of 255 dims cannot overflow.
    expected = std::min<__int128>(expected, kMaxFileBytes) * dims.back();
  }
  if (expected != content)
    fail("{}: {} bytes of content; expected {} for the dims [{}] of {}", path, content,
         expected > kMaxFileBytes ? "more than 8 GiB" : fmt::format("{}", int64_t(expected)),
         Shape(dims).text(), name(*type));
  Tensor out = Tensor::empty(*type, std::move(dims));
  auto* to = static_cast<char*>(out.mutable_raw());
  const auto size = static_cast<size_t>(byte_size(*type));
  std::memcpy(to, bytes.data() + header, bytes.size() - header);
  if constexpr (std::endian::native == std::endian::little)
    for (int64_t i = 0; i < content; i += byte_size(*type)) std::reverse(to + i, to + i + size);
  return out;
}

LabelledImages read_idx_images(const std::string& images_path, const std::string& labels_path) {
  const Tensor images = read_idx(images_path);
  if (images.dtype() != DType::u8 || images.rank() != 3)
    fail("{}: holds {}; expected images, u8[n,height,width]", images_path, images.type_text());
  const Tensor labels = read_idx(labels_path);
  if (labels.dtype() != DType::u8 || labels.rank() != 1)
    fail("{}: holds {}; expected labels, u8[n]", labels_path, labels.type_text());
  if (labels.size() != images.dims()[0])
    fail("{}: {} labels; expected {}, one for each image of {}", labels_path, labels.size(),
         images.dims()[0], images_path);
  const Dims& d = images.dims();
  LabelledImages out{Tensor::empty(DType::f32, {d[0], d[1], d[2], 1}),
                     Tensor::empty(DType::i32, {d[0]})};
  std::transform(images.values<uint8_t>().begin(), images.values<uint8_t>().end(),
                 out.images.mutable_data<float>(), [](uint8_t v) { return float(v) / 255.0f; });
  std::copy(labels.values<uint8_t>().begin(), labels.values<uint8_t>().end(),
            out.labels.mutable_data<int32_t>());
  return out;
}

}  // namespace lathe::data
