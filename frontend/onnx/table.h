// The operator table: one row for each op and version at which its meaning changed.
#pragma once

#include <span>
#include <string_view>

#include "frontend/onnx/context.h"

namespace lathe::onnx {

struct OpRow {
  std::string_view op;
  int since;  // holds up to the next row of the op
  void (*translate)(OpContext& c);
  // Whether a node draws random numbers, which is never folded. None: no node does.
  bool (*random)(const NodeDef& node) = nullptr;
  // Whether a node of known inputs is computed while tracing. Not where passes look for what it is
  // made of.
  bool folds = true;
};

// Families, one file each.
std::span<const OpRow> activation_rows();
std::span<const OpRow> attention_rows();
std::span<const OpRow> bits_rows();
std::span<const OpRow> control_rows();
std::span<const OpRow> convolution_rows();
std::span<const OpRow> einsum_rows();
std::span<const OpRow> elementwise_rows();
std::span<const OpRow> image_rows();
std::span<const OpRow> index_rows();
std::span<const OpRow> loss_rows();
std::span<const OpRow> matmul_rows();
std::span<const OpRow> normalization_rows();
std::span<const OpRow> quantization_rows();
std::span<const OpRow> random_rows();
std::span<const OpRow> recurrent_rows();
std::span<const OpRow> reduction_rows();
std::span<const OpRow> region_rows();
std::span<const OpRow> resize_rows();
std::span<const OpRow> sample_rows();
std::span<const OpRow> scatter_rows();
std::span<const OpRow> select_rows();
std::span<const OpRow> sequence_rows();
std::span<const OpRow> shape_rows();
std::span<const OpRow> signal_rows();
std::span<const OpRow> string_rows();
std::span<const OpRow> suppression_rows();
std::span<const OpRow> transposed_rows();
// Of ai.onnx.ml and ai.onnx.preview.
std::span<const OpRow> ml_model_rows();
std::span<const OpRow> ml_rows();
std::span<const OpRow> ml_tree_rows();
std::span<const OpRow> preview_rows();
// Of com.microsoft.
std::span<const OpRow> microsoft_rows();
// Of ai.onnx.preview.training.
std::span<const OpRow> training_rows();

// The row for an op of a domain ("" is ai.onnx) at an opset version. Unsupported, with the reason,
// where there is none.
const OpRow& find_row(std::string_view domain, std::string_view op, int64_t version);
// Whether a node of the model, at any depth, draws random numbers.
bool is_random(const ModelDef& model);

}  // namespace lathe::onnx
