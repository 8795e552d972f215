#include "frontend/onnx/image_file.h"

#include "runtime/module.h"

namespace lathe::onnx {

Image decode_image(std::span<const std::byte> file) {
  static const Result<const void*> module =
      module_symbol(module_places("liblathe_images.so"), kImagesSymbol);
  if (!module) fail("image files need liblathe_images.so: {}", module.error());
  return (*static_cast<const DecodeImage*>(*module))(file);
}

}  // namespace lathe::onnx
