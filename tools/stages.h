// A model at each stage of its way through the compiler, as text or a drawing.
#pragma once

#include <string>
#include <string_view>

#include "ir/base/target.h"
#include "tools/compute.h"

namespace lathe::tools {

// stage: graph, fused, kernels or program; format: text, dot or svg. Kernels and programs have a
// text form only. The graph needs no dims; all others take them from `given` (see all_dims), and
// kernels and programs are those for `target`.
std::string show_stage(const ModelFile& file, const DimBinding& given, std::string_view stage,
                       std::string_view format, const Target& target);

}  // namespace lathe::tools
