#include "tools/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "frontend/keras/load.h"
#include "ir/graph_text.h"
#include "runtime/files.h"
#include "runtime/train/run_folder.h"
#include "tools/cli.h"
#include "tools/onnx_file.h"

namespace lathe::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBatch = "batch", kLength = "length";

bool has_symbol(const Graph& g, std::string_view name) {
  const std::vector<std::string> symbols = free_symbols(g);
  return std::find(symbols.begin(), symbols.end(), name) != symbols.end();
}

ModelFile load_run(const std::string& path, nn::Mode mode, uint64_t seed) {
  const train::Run run = train::read_run(path);
  ModelFile out{path, load_keras(train::run_file(path, train::kModelFile), mode, seed), {}};
  load_weights(out.model, train::run_file(path, train::kWeightsFile));
  if (has_symbol(out.model.graph, kLength)) out.dims[std::string(kLength)] = run.config.text.maxlen;
  return out;
}

ModelFile load_text(const std::string& path) {
  Result<Graph> graph = parse_graph(read_text_file(path));
  if (!graph) fail("{}:{}", path, graph.error());
  return {path, {*std::move(graph), {}}, {}};
}

}  // namespace

void check_exists(const std::string& path) {
  std::error_code ignored;
  if (fs::status(path, ignored).type() == fs::file_type::not_found)
    fail("{}: no such file or folder", path);
}

ModelFile load_model(const std::string& path, nn::Mode mode, uint64_t seed, const DimBinding& dims,
                     const onnx::LoadLimits& limits) {
  check_exists(path);
  if (fs::is_directory(path)) return load_run(path, mode, seed);
  const std::string extension = fs::path(path).extension().string();
  if (extension == ".gir") return load_text(path);
  if (is_onnx(path))
    return {path, load_onnx_graph(path, dims, mode == nn::Mode::Training, limits), {}, dims};
  if (extension != ".json" && extension != ".keras" && extension != ".h5" && extension != ".hdf5")
    fail(
        "{}: not a model by its name; expected .onnx, .keras, .h5, a Keras configuration in "
        ".json, or a RUN folder",
        path);
  return {path, load_keras(path, mode, seed), {}};
}

void replace_weights(ModelFile& file, const std::string& path) {
  if (is_onnx(file.path)) fail_unsupported("{}: --weights with an ONNX model", file.path);
  load_weights(file.model, path);
}

DimBinding parse_dims(const std::vector<std::string>& texts) {
  DimBinding out;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const char* number = equals == std::string::npos ? end : text.data() + equals + 1;
    const auto [at, error] = std::from_chars(number, end, value);
    if (equals == 0 || number == end || error != std::errc() || at != end || value < 1)
      throw UsageError(
          fmt::format("--dim {}: expected NAME=N with a whole number N of at least 1", text));
    out[text.substr(0, equals)] = value;
  }
  return out;
}

DimBinding all_dims(const ModelFile& file, const DimBinding& given) {
  DimBinding out;
  const std::vector<std::string> symbols = free_symbols(file.model.graph);
  for (const std::string& symbol : symbols) {
    if (const auto it = given.find(symbol); it != given.end()) out[symbol] = it->second;
    else if (const auto own = file.dims.find(symbol); own != file.dims.end())
      out[symbol] = own->second;
    else if (symbol == kBatch) out[symbol] = 1;
    else fail("{}: the dimension '{}' is free; give it with --dim {}=N", file.path, symbol, symbol);
  }
  for (const auto& [name, value] : given)
    if (!out.contains(name) && !file.bound.contains(name))
      fail("{}: the model has no free dimension '{}'; it has: {}", file.path, name,
           symbols.empty() ? "none" : fmt::format("{}", fmt::join(symbols, ", ")));
  return out;
}

std::vector<GraphInput> data_inputs(const Graph& g) {
  std::vector<GraphInput> out;
  for (const GraphInput& in : g.inputs())
    if (in.role == InputRole::Data) out.push_back(in);
  return out;
}

void infer_dims(const GraphInput& input, const Dims& given, DimBinding& dims) {
  const Shape& shape = input.type.shape;
  if (shape.rank() != std::ssize(given)) return;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    std::vector<std::string> symbols;
    shape[axis].collect_symbols(symbols);
    if (symbols.size() == 1 && shape[axis] == Dim::symbol(symbols[0]))
      dims.emplace(symbols[0], given[static_cast<size_t>(axis)]);
  }
}

}  // namespace lathe::tools
