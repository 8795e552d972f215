// Graphs as text: what parses prints, and parses to the same again.
#include "ir/graph_text.h"
#include "tests/fuzz/fuzz.h"

namespace lathe {

void fuzz_input(std::string_view bytes) {
  holds([&] {
    const Result<Graph> graph = parse_graph(bytes);
    if (!graph) return;
    const std::string text = print_graph(*graph);
    const Result<Graph> again = parse_graph(text);
    if (!again) found("printed, but does not parse: " + again.error());
    if (print_graph(*again) != text) found("parses to another graph than was printed:\n" + text);
  });
}

}  // namespace lathe
