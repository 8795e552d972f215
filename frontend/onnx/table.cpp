#include "frontend/onnx/table.h"

#include <algorithm>
#include <map>

namespace lathe::onnx {
namespace {

struct Family {
  std::string_view domain;
  std::span<const OpRow> (*rows)();
};

constexpr Family kFamilies[] = {
    {"", activation_rows},
    {"", attention_rows},
    {"", bits_rows},
    {"", control_rows},
    {"", convolution_rows},
    {"", einsum_rows},
    {"", elementwise_rows},
    {"", image_rows},
    {"", index_rows},
    {"", loss_rows},
    {"", matmul_rows},
    {"", normalization_rows},
    {"", quantization_rows},
    {"", random_rows},
    {"", recurrent_rows},
    {"", reduction_rows},
    {"", region_rows},
    {"", resize_rows},
    {"", sample_rows},
    {"", scatter_rows},
    {"", select_rows},
    {"", sequence_rows},
    {"", shape_rows},
    {"", signal_rows},
    {"", string_rows},
    {"", suppression_rows},
    {"", transposed_rows},
    {"ai.onnx.ml", ml_model_rows},
    {"ai.onnx.ml", ml_rows},
    {"ai.onnx.ml", ml_tree_rows},
    {"ai.onnx.preview", preview_rows},
    {"ai.onnx.preview.training", training_rows},
    {"com.microsoft", microsoft_rows},
};

using Key = std::pair<std::string_view, std::string_view>;
using Index = std::map<Key, std::vector<const OpRow*>>;

// Rows of each op, by rising version.
const Index& index() {
  static const Index built = [] {
    Index out;
    for (const Family& family : kFamilies)
      for (const OpRow& row : family.rows()) out[{family.domain, row.op}].push_back(&row);
    for (auto& [key, rows] : out)
      std::sort(rows.begin(), rows.end(),
                [](const OpRow* a, const OpRow* b) { return a->since < b->since; });
    return out;
  }();
  return built;
}

std::string_view shown(std::string_view domain) { return domain.empty() ? "ai.onnx" : domain; }

}  // namespace

namespace {

bool is_random(const GraphDef& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const NodeDef& node) {
    const auto it = index().find({node.domain, node.op});
    const OpRow* row = it == index().end() ? nullptr : it->second.back();
    if (row != nullptr && row->random != nullptr && row->random(node)) return true;
    return std::any_of(node.attributes.begin(), node.attributes.end(),
                       [](const AttributeDef& a) { return a.graph && is_random(*a.graph); });
  });
}

}  // namespace

bool is_random(const ModelDef& model) {
  return is_random(*model.graph) ||
         std::any_of(model.functions.begin(), model.functions.end(),
                     [](const FunctionDef& f) { return is_random(*f.body); });
}

const OpRow& find_row(std::string_view domain, std::string_view op, int64_t version) {
  const auto it = index().find({domain, op});
  if (it == index().end())
    fail_unsupported("the operator {} of {} is not supported", op, shown(domain));
  const OpRow* found = nullptr;
  for (const OpRow* row : it->second)
    if (row->since <= version) found = row;
  if (found == nullptr)
    fail_unsupported("the operator {} of {} is supported from version {} on, this is version {}",
                     op, shown(domain), it->second.front()->since, version);
  return *found;
}

}  // namespace lathe::onnx
