// Evaluating models on the backend that the command line names.
#pragma once

#include <map>
#include <string>

#include "backends/compile.h"
#include "runtime/named_tensor.h"
#include "tools/cli.h"
#include "tools/model_file.h"

namespace lathe::tools {

struct Compute {
  int threads = 0;  // 0: as many as the process may use
  std::string backend = "auto";
};

// --threads and --backend; with `reference`, "eval" (the graph in double, without kernels) too.
void add_compute_options(OptionList& options, Compute& compute, bool reference = false);

// Precondition: the backend is not "eval".
CompileOptions compile_options(const Compute& compute, const DimBinding& dims = {});

using Feeds = std::map<std::string, Tensor>;

// A value for every port: `weights`, else `feeds`. Precondition: one of them has it.
std::vector<Tensor> arguments(const std::vector<Port>& ports, const Feeds& weights,
                              const Feeds& feeds);

// t as elements of another type, as Tensor::set converts.
Tensor converted(const Tensor& t, DType dtype);

// One evaluation: the model's outputs by name. `feeds` holds every data input; they are converted
// to the inputs' dtypes, and free dims follow from their shapes. Errors: a missing or unknown feed,
// a shape other than the input's.
std::vector<NamedTensor> run_model(ModelFile file, Feeds feeds, const Compute& compute,
                                   const DimBinding& given = {});

}  // namespace lathe::tools
