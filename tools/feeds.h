// What the inputs of models are given: files, or random values for trying and measuring.
#pragma once

#include "tools/compute.h"

namespace lathe::tools {

// "NAME=FILE.npy" from --input; anything else is a UsageError.
Feeds read_feeds(const std::vector<std::string>& texts);

// Floats uniform in [0, 1), integers in [0, 10), booleans.
Tensor random_tensor(DType dtype, const Dims& dims, uint64_t seed, std::string_view name);

// Adds a tensor for each data input that `feeds` lacks. It depends on the seed, the input's name
// and its shape; free dims take their values from `given` and the feeds that are there.
void add_random_feeds(const ModelFile& file, const DimBinding& given, uint64_t seed, Feeds& feeds);

}  // namespace lathe::tools
