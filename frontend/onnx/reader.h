// ONNX messages to ModelDef, from untrusted bytes.
//
// The wire format is read in place (wire.h), so initializers share the mapped file, fields and
// element types newer than any installed schema are known, and nothing larger than a small multiple
// of the file is allocated, but sparse tensors, which are made dense within the limit of elements.
// Errors name the file, and the graph, node or tensor.
#pragma once

#include <memory>
#include <string>

#include "frontend/onnx/value.h"
#include "frontend/onnx/wire.h"

namespace lathe::onnx {

inline constexpr int64_t kNewestOpset = 28;

// The file with its external data, which must lie in the file's own folder or below it.
std::shared_ptr<const ModelDef> read_model(const std::string& path, const LoadLimits& limits = {});
// `bytes` kept alive by `owner`; external data is refused where `folder` is empty.
std::shared_ptr<const ModelDef> parse_model(Bytes bytes, std::shared_ptr<const void> owner,
                                            const std::string& path, const std::string& folder,
                                            const LoadLimits& limits = {});

// A file that holds one value (of a data set): TensorProto, SequenceProto, OptionalProto or
// MapProto, which only `type` can tell.
Value read_value(const std::string& path, const DeclaredType& type);

}  // namespace lathe::onnx
