// lathe-opt: runs graph passes on graph text. Text on stdout, messages on stderr; exits 0 done,
// 1 failed, 2 usage.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "ir/graph_text.h"
#include "ir/graph_verify.h"
#include "passes/pipeline.h"

namespace lathe {
namespace {

struct Arguments {
  std::string file = "-";
  std::string stop_after;
  std::vector<std::string> passes, skip;
  bool elide = false, list = false;
};

std::string read_text(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot be read", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

const GraphPass& find_pass(const std::string& name) {
  const auto found = std::ranges::find(graph_passes(), name, &GraphPass::name);
  if (found != graph_passes().end()) return *found;
  std::string names;
  for (const GraphPass& p : graph_passes()) names.append(names.empty() ? "" : ", ").append(p.name);
  fail("'{}' is no graph pass; there are {}", name, names);
}

// The passes asked for, in their order; without --passes, the pipeline's.
std::vector<const GraphPass*> choose_passes(const Arguments& a) {
  std::vector<const GraphPass*> out;
  for (const std::string& name : a.passes) out.push_back(&find_pass(name));
  if (a.passes.empty())
    for (const GraphPass& p : graph_passes()) out.push_back(&p);
  for (const std::string& name : a.skip) std::erase(out, &find_pass(name));
  if (a.stop_after.empty()) return out;
  const auto last = std::ranges::find(out, &find_pass(a.stop_after));
  if (last == out.end()) fail("--stop-after={}: this pass does not run", a.stop_after);
  out.erase(last + 1, out.end());
  return out;
}

void verify(const Graph& g, std::string_view after) {
  if (const Result<bool> ok = verify_graph(g); !ok)
    throw Error(ErrorKind::Internal, fmt::format("after {}: {}", after, ok.error()));
}

void run(const Arguments& a) {
  if (a.list) {
    for (const GraphPass& p : graph_passes()) fmt::print("{}: {}\n", p.name, p.why_here);
    return;
  }
  const std::vector<const GraphPass*> passes = choose_passes(a);
  const std::string text = read_text(a.file);
  // A golden file is its graph; what is expected of it follows the mark.
  Result<Graph> parsed = parse_graph(std::string_view(text).substr(0, text.find("\n// ----")));
  if (!parsed) fail("{}:{}", a.file, parsed.error());
  Graph g = *std::move(parsed);
  verify(g, "reading");
  for (const GraphPass* pass : passes) {
    g = pass->run(g);
    verify(g, pass->name);
  }
  fmt::print("{}", print_graph(g, {.elide_constants = a.elide}));
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  lathe::Arguments a;
  CLI::App app("Runs graph passes on graph text and prints the result.", "lathe-opt");
  app.footer("Example: lathe-opt model.gir --passes=simplify,fold_constants");
  app.add_option("file", a.file, "graph text (ir/README.md, section Graph); - is stdin");
  app.add_option("--stop-after", a.stop_after, "the last pass that runs");
  app.add_option("--passes", a.passes, "these, in this order, in place of the pipeline's")
      ->delimiter(',');
  app.add_option("--skip", a.skip, "passes that do not run, such as simplify:2")->delimiter(',');
  app.add_flag("--elide", a.elide, "leave out the values of large constants");
  app.add_flag("--list", a.list, "print the pipeline's passes and why they are where they are");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    lathe::run(a);
  } catch (const std::exception& e) {
    fmt::print(stderr, "lathe-opt: {}\n", e.what());
    return 1;
  }
  return 0;
}
