// IDX files, the format of MNIST and its kin.
#pragma once

#include <string>

#include "ir/base/tensor.h"

namespace lathe::data {

// A dense tensor of u8, i8, i16, i32, f32 or f64, plain or gzip. Errors name the file, the byte and
// what was expected: wrong magic number, unknown type, more or fewer bytes than the dims ask for.
Tensor read_idx(const std::string& path);

struct LabelledImages {
  Tensor images;  // f32[n, height, width, 1], 0 to 1
  Tensor labels;  // i32[n]
};

// u8 images of three dims and as many u8 labels.
LabelledImages read_idx_images(const std::string& images_path, const std::string& labels_path);

}  // namespace lathe::data
