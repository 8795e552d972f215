// What the classifiers and regressors of ai.onnx.ml share.
#pragma once

#include "frontend/onnx/context.h"

namespace lathe::onnx {

enum class PostTransform : uint8_t { None, Softmax, Logistic, SoftmaxZero, Probit };

PostTransform read_post_transform(OpContext& c);
// Scores [N, classes].
Expr post_transformed(const Expr& scores, PostTransform how);

// The index of the first largest along axis 1, i64 [N].
Expr first_largest(const Expr& scores);

// The labels of an attribute pair: integers, or texts, or neither.
struct Labels {
  Dims integers;
  std::vector<std::string> texts;
  int64_t count() const { return std::max(std::ssize(integers), std::ssize(texts)); }
};
Labels read_labels(OpContext& c, std::string_view integers, std::string_view texts);

// Sets the outputs of a classifier: the label at index [N] for each row, and the scores.
void out_classes(OpContext& c, const Labels& labels, const Expr& index, const Expr& scores);

// An attribute that has one form for floats and another, a tensor, for other types; empty where
// neither is given.
std::vector<double> floats_or_tensor(OpContext& c, std::string_view name);

// A list of numbers as a constant of `dims`.
Expr numbers_constant(Graph& g, DType type, const std::vector<double>& values, Dims dims);

}  // namespace lathe::onnx
