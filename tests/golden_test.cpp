// Files of graph text: tests/golden/<pass>/*.gir hold what a pass makes of a graph, tests/reject
// holds a graph for each labelled constraint of ir/ops that violates it.
//
// A golden file is a graph, a line `// ---- expect` and the graph that the pass makes of it; or a
// line `// ---- unchanged` in their place. BLESS=1 in the environment rewrites the expected graphs.
// A reject file begins with `// error: ` and a part of the message.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "ir/eval.h"
#include "ir/graph_text.h"
#include "ir/graph_verify.h"
#include "passes/pipeline.h"
#include "passes/rebuild.h"
#include "tests/support/paths.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExpect = "// ---- expect\n";
constexpr std::string_view kUnchanged = "// ---- unchanged\n";

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> texts(const std::string& folder) {
  std::vector<fs::path> out;
  for (const auto& entry :
       fs::recursive_directory_iterator(testing::source_path("tests/" + folder)))
    if (entry.path().extension() == ".gir") out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

const GraphPass* find_pass(const std::string& name) {
  const auto found = std::ranges::find(graph_passes(), name, &GraphPass::name);
  return found == graph_passes().end() ? nullptr : &*found;
}

// Both give the same values of the same random inputs, in double but for literals that folding
// rounds.
void check_values(const Graph& before, const Graph& after) {
  Random random(5);
  std::vector<EvalTensor> inputs;
  DimBinding dims;
  for (const std::string& symbol : free_symbols(before)) dims[symbol] = 4;
  const Graph bound = bind_dims(before, dims);
  for (const GraphInput& in : bound.inputs()) {
    Tensor t = Tensor::empty(in.type.dtype, in.type.shape.static_dims());
    const bool whole = !is_float(t.dtype());
    for (int64_t i = 0; i < t.size(); ++i)
      t.set(i, whole ? static_cast<double>(random.below(2)) : random.uniform(-1, 1));
    inputs.emplace_back(t);
  }
  const auto expected = evaluate(bound, inputs), actual = evaluate(bind_dims(after, dims), inputs);
  REQUIRE(actual.size() == expected.size());
  for (size_t k = 0; k < actual.size(); ++k) {
    CHECK(actual[k].i == expected[k].i);
    REQUIRE(actual[k].f.size() == expected[k].f.size());
    for (size_t i = 0; i < actual[k].f.size(); ++i)
      CHECK(actual[k].f[i] == doctest::Approx(expected[k].f[i]).epsilon(1e-6));
  }
}

void check_golden(const fs::path& path) {
  const std::string text = read(path);
  const GraphPass* pass = find_pass(path.parent_path().filename());
  REQUIRE_MESSAGE(pass != nullptr, "the folder is not named after a graph pass");
  const Graph before = parse_graph(text.substr(0, text.find("// ----"))).value();
  const Graph after = pass->run(before);
  const Result<bool> verified = verify_graph(after);
  CHECK_MESSAGE(verified, verified.error());
  check_values(before, after);
  const std::string actual = print_graph(after);
  if (text.find(kUnchanged) != std::string::npos) {
    CHECK(actual == print_graph(Rebuilder::run(before)));
    return;
  }
  const size_t mark = text.find(kExpect);
  const bool marked = mark != std::string::npos;
  if (std::getenv("BLESS") != nullptr) {
    std::ofstream(path) << text.substr(0, mark) << kExpect << actual;
    return;
  }
  REQUIRE_MESSAGE(marked, "no line '// ---- expect' or '// ---- unchanged'");
  CHECK(actual == text.substr(mark + kExpect.size()));
  CHECK(actual != print_graph(Rebuilder::run(before)));
}

}  // namespace

TEST_CASE("each pass makes of its golden graphs what the files say") {
  const std::vector<fs::path> paths = texts("golden");
  CHECK(paths.size() > 5);
  for (const fs::path& path : paths) {
    CAPTURE(path.string());
    check_golden(path);
  }
}

TEST_CASE("each labelled constraint refuses its graph, at the place and with the reason") {
  const std::vector<fs::path> paths = texts("reject");
  CHECK(paths.size() > 60);
  for (const fs::path& path : paths) {
    CAPTURE(path.string());
    const std::string text = read(path);
    const std::string_view intro = "// error: ";
    REQUIRE(text.starts_with(intro));
    const std::string expected = text.substr(intro.size(), text.find('\n') - intro.size());
    const Result<Graph> g = parse_graph(text);
    REQUIRE(!g);
    CAPTURE(g.error());
    CHECK(g.error().find(expected) != std::string::npos);
    const std::string line = path.stem() == "parameter-1" ? "2:" : "3:";
    CHECK(g.error().starts_with(line));
  }
}

}  // namespace lathe
