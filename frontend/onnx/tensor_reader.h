// TensorProto and its relatives.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "frontend/onnx/model.h"
#include "frontend/onnx/wire.h"
#include "runtime/files.h"

namespace lathe::onnx {

// Where bytes come from and who keeps them alive.
struct Source {
  std::string path;                   // for messages
  std::string folder;                 // of external data; "" where there is none
  std::shared_ptr<const void> owner;  // of the bytes
  LoadLimits limits;
  std::map<std::string, std::shared_ptr<const MappedFile>> external = {};
  int64_t dense = 0;  // elements that sparse tensors were given
};

struct NamedHostTensor {
  std::string name;
  HostTensor tensor;
};

// Elements that need no conversion are shared with the file.
NamedHostTensor read_tensor(WireReader r, Source& source);
// Dense, zero where nothing is said.
NamedHostTensor read_sparse_tensor(WireReader r, Source& source);

}  // namespace lathe::onnx
