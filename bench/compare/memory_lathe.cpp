// How much memory a run of an ONNX model takes beyond its weights, inputs and outputs: the arena,
// and whatever the process has allocated meanwhile.
//
//   memory_lathe MODEL THREADS
#include <fmt/core.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>

#include "backends/compile.h"
#include "tools/onnx_file.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* p, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* p);
}

namespace {

std::atomic<int64_t> live{0}, most{0};

void* taken(void* p) {
  if (p == nullptr) return p;
  const int64_t now = live += static_cast<int64_t>(malloc_usable_size(p));
  int64_t before = most;
  while (now > before && !most.compare_exchange_weak(before, now)) {
  }
  return p;
}

void given_back(void* p) {
  if (p != nullptr) live -= static_cast<int64_t>(malloc_usable_size(p));
}

}  // namespace

// In place of the C library's.
extern "C" {
void* malloc(size_t size) { return taken(__libc_malloc(size)); }
void* calloc(size_t count, size_t size) { return taken(__libc_calloc(count, size)); }
void* memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, size_t alignment, size_t size) {
  *out = memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
void* realloc(void* p, size_t size) {
  given_back(p);
  return taken(__libc_realloc(p, size));
}
void free(void* p) {
  given_back(p);
  __libc_free(p);
}
}

namespace lathe {
namespace {

int64_t bytes_of_runs(const std::string& path, int threads) {
  const Model model = tools::load_onnx_graph(path, {}, false, {});
  CompileOptions options = compile_options();
  options.threads = threads;
  options.wait_compile = true;
  options.arena = std::make_shared<Arena>();
  const std::unique_ptr<Executable> executable = compile(freeze(model), options);
  std::vector<Tensor> inputs, outputs;
  std::vector<void*> in, out;
  for (const Port& port : executable->inputs()) {
    inputs.push_back(Tensor::zeros(port.dtype, port.dims));
    in.push_back(inputs.back().mutable_raw());
  }
  for (const Port& port : executable->outputs()) {
    outputs.push_back(Tensor::empty(port.dtype, port.dims));
    out.push_back(outputs.back().mutable_raw());
  }
  executable->run(in, out);
  const int64_t before = live;
  most = before;
  for (int run = 0; run < 3; ++run) executable->run(in, out);
  return options.arena->bytes() + most - before;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: {} MODEL THREADS\n", argv[0]);
    return 2;
  }
  fmt::print("{{\"bytes\": {}}}\n", lathe::bytes_of_runs(argv[1], std::atoi(argv[2])));
}
