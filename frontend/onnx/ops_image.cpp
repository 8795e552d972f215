// Images: rearranged as [batch, channels, height, width], and decoded to [height, width, channels].
#include <algorithm>

#include "frontend/onnx/image_file.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

constexpr int64_t kMostBlock = int64_t{1} << 20;  // whose square is a count

Dims image_dims(OpContext& c) {
  const Dims dims = c.dims(0);
  if (dims.size() != 4) fail("its input is {}, 4 axes were expected", c.input(0).signature());
  return dims;
}

void depth_to_space(OpContext& c) {
  const Dims d = image_dims(c);
  const int64_t b = c.attr_int("blocksize");
  const std::string mode = c.attr_text("mode", "DCR");
  if (b < 1 || b >= kMostBlock || d[1] % (b * b) != 0) fail("{} channels in blocks of {}", d[1], b);
  if (mode != "DCR" && mode != "CRD") fail("mode is '{}', DCR or CRD was expected", mode);
  const int64_t depth = d[1] / (b * b);
  const bool depth_last = mode == "DCR";
  const Expr parts = depth_last ? reshape(c.expr(0), Shape{d[0], b, b, depth, d[2], d[3]})
                                : reshape(c.expr(0), Shape{d[0], depth, b, b, d[2], d[3]});
  const Expr moved = transpose(parts, depth_last ? Dims{0, 3, 4, 1, 5, 2} : Dims{0, 1, 4, 2, 5, 3});
  c.out(reshape(moved, Shape{d[0], depth, d[2] * b, d[3] * b}), c.elem(0));
}

void space_to_depth(OpContext& c) {
  const Dims d = image_dims(c);
  const int64_t b = c.attr_int("blocksize");
  if (b < 1 || b >= kMostBlock || d[2] % b != 0 || d[3] % b != 0)
    fail("{} x {} in blocks of {}", d[2], d[3], b);
  const Expr parts = reshape(c.expr(0), Shape{d[0], d[1], d[2] / b, b, d[3] / b, b});
  c.out(
      reshape(transpose(parts, {0, 3, 5, 1, 2, 4}), Shape{d[0], d[1] * b * b, d[2] / b, d[3] / b}),
      c.elem(0));
}

// As ITU-R 601 has it, in 16 bits.
uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

void image_decoder(OpContext& c) {
  const std::string format = c.attr_text("pixel_format", "RGB");
  if (format != "RGB" && format != "BGR" && format != "Grayscale")
    fail("pixel_format is '{}'", format);
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const Tensor& file = in[0].known.numbers;
    if (in[0].known.is_string() || file.dtype() != DType::u8)
      fail("its input is {}, the bytes of a file were expected", in[0].signature());
    Image image = decode_image(std::as_bytes(file.values<uint8_t>()));
    const int64_t channels = format == "Grayscale" ? 1 : 3;
    Tensor out = Tensor::empty(DType::u8, {image.height, image.width, channels});
    auto* to = out.mutable_data<uint8_t>();
    for (int64_t i = 0; i < image.height * image.width; ++i) {
      uint8_t* rgb = image.rgb.data() + 3 * i;
      if (format == "BGR") std::swap(rgb[0], rgb[2]);
      if (channels == 1) to[i] = luma(rgb);
      else std::copy_n(rgb, 3, to + 3 * i);
    }
    return std::vector<Value>{Value::of(HostTensor(out))};
  });
}

constexpr OpRow kRows[] = {
    {"DepthToSpace", 1, depth_to_space},
    {"ImageDecoder", 20, image_decoder},
    {"SpaceToDepth", 1, space_to_depth},
};

}  // namespace

std::span<const OpRow> image_rows() { return kRows; }

}  // namespace lathe::onnx
