// Image files in memory to pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lathe::onnx {

struct Image {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// BMP, JPEG, JPEG 2000, PNG, PNM, TIFF or WebP, told by the first bytes; transparency is left out.
// Errors: what is none of them, or broken, or beyond 2^26 pixels.
// The libraries are loaded then (liblathe_images.so).
Image decode_image(std::span<const std::byte> file);

// What the module offers under the name kImagesSymbol.
using DecodeImage = Image (*)(std::span<const std::byte> file);
inline constexpr const char* kImagesSymbol = "lathe_images_1";

}  // namespace lathe::onnx
