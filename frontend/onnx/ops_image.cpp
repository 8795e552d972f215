// Rearrangements of images [batch, channels, height, width].
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

Dims image_dims(OpContext& c) {
  const Dims dims = c.dims(0);
  if (dims.size() != 4) fail("its input is {}, 4 axes were expected", c.input(0).signature());
  return dims;
}

void depth_to_space(OpContext& c) {
  const Dims d = image_dims(c);
  const int64_t b = c.attr_int("blocksize");
  const std::string mode = c.attr_text("mode", "DCR");
  if (b < 1 || d[1] % (b * b) != 0) fail("{} channels in blocks of {}", d[1], b);
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
  if (b < 1 || d[2] % b != 0 || d[3] % b != 0) fail("{} x {} in blocks of {}", d[2], d[3], b);
  const Expr parts = reshape(c.expr(0), Shape{d[0], d[1], d[2] / b, b, d[3] / b, b});
  c.out(
      reshape(transpose(parts, {0, 3, 5, 1, 2, 4}), Shape{d[0], d[1] * b * b, d[2] / b, d[3] / b}),
      c.elem(0));
}

constexpr OpRow kRows[] = {
    {"DepthToSpace", 1, depth_to_space},
    {"SpaceToDepth", 1, space_to_depth},
};

}  // namespace

std::span<const OpRow> image_rows() { return kRows; }

}  // namespace lathe::onnx
