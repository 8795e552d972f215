#include "tools/feeds.h"

#include "ir/base/hash.h"
#include "ir/base/philox.h"
#include "runtime/npy.h"
#include "tools/cli.h"

namespace lathe::tools {

Tensor random_tensor(DType dtype, const Dims& dims, uint64_t seed, std::string_view name) {
  Tensor t = Tensor::empty(dtype, dims);
  const uint64_t stream = hash_text(name);
  const PhiloxKey key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (int64_t i = 0; i < t.size(); ++i) {
    const auto n = static_cast<uint64_t>(i);
    const uint32_t word =
        philox4x32({static_cast<uint32_t>(n), static_cast<uint32_t>(n >> 32),
                    static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                   key)[0];
    if (is_float(dtype)) t.set(i, (word >> 8) * 0x1p-24);
    else t.set_int(i, dtype == DType::boolean ? word & 1 : word % 10);
  }
  return t;
}

Feeds read_feeds(const std::vector<std::string>& texts) {
  Feeds feeds;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      throw UsageError(fmt::format("--input {}: expected NAME=FILE.npy", text));
    feeds[text.substr(0, equals)] = read_npy(text.substr(equals + 1));
  }
  return feeds;
}

void add_random_feeds(const ModelFile& file, const DimBinding& given, uint64_t seed, Feeds& feeds) {
  DimBinding known = given;
  const std::vector<GraphInput> inputs = data_inputs(file.model.graph);
  for (const GraphInput& in : inputs)
    if (const auto it = feeds.find(in.name); it != feeds.end())
      infer_dims(in, it->second.dims(), known);
  const DimBinding dims = all_dims(file, known);
  for (const GraphInput& in : inputs)
    if (!feeds.contains(in.name))
      feeds[in.name] =
          random_tensor(in.type.dtype, in.type.shape.bind(dims).static_dims(), seed, in.name);
}

}  // namespace lathe::tools
