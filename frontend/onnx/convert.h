// Casts of contents between any two element types, as the standard's Cast has them.
#pragma once

#include "frontend/onnx/model.h"

namespace lathe::onnx {

// `saturate`: what is beyond a float8 becomes its largest value, else infinity or NaN.
HostTensor convert(const HostTensor& t, ElemType to, bool saturate = true);

// As Cast to string writes it: the shortest text that reads back the same.
std::string number_text(const HostTensor& t, int64_t i);

}  // namespace lathe::onnx
