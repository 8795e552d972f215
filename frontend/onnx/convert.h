// Casts of contents between any two element types, as the standard's Cast has them.
#pragma once

#include "frontend/onnx/model.h"

namespace lathe::onnx {

HostTensor convert(const HostTensor& t, ElemType to, const CastRules& rules = {});

// As Cast to string writes it: the shortest text that reads back the same.
std::string number_text(const HostTensor& t, int64_t i);

}  // namespace lathe::onnx
