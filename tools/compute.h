// Evaluating models on the backend that the command line names.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "backends/compile.h"
#include "ir/base/convert.h"
#include "runtime/named_tensor.h"
#include "tools/cli.h"
#include "tools/model_file.h"

namespace lathe::tools {

struct Compute {
  int threads = 0;  // 0: as many as the process may use
  std::string backend = "auto";
  bool wait_compile = true;  // see CompileOptions
  std::string numerics = "strict";
};

// --threads, --numerics and --backend; with `reference`, "eval" (the graph in double, without
// kernels) too.
void add_compute_options(OptionList& options, Compute& compute, bool reference = false);

// --wait-compile, for verbs that do not measure: without it they begin on xsimd's kernels.
void add_wait_option(OptionList& options, Compute& compute);

// Precondition: the backend is not "eval".
CompileOptions compile_options(const Compute& compute, const DimBinding& dims = {});

using Feeds = std::map<std::string, Tensor>;

// A value for every port: `weights`, else `feeds`. Precondition: one of them has it.
std::vector<Tensor> arguments(const std::vector<Port>& ports, const Feeds& weights,
                              const Feeds& feeds);

// Is told results as soon as there are any; what was begun for later runs is finished afterwards.
using Answer = std::function<void(const std::vector<NamedTensor>&)>;

// One evaluation: `answer` is told the model's outputs by name. `feeds` holds every data input;
// they are converted to the inputs' dtypes, and free dims follow from their shapes. Errors: a
// missing or unknown feed, a shape other than the input's.
void run_model(ModelFile file, Feeds feeds, const Compute& compute, const DimBinding& given,
               const Answer& answer);

}  // namespace lathe::tools
