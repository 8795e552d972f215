// Linear models and support vector machines of ai.onnx.ml.
#include <algorithm>
#include <cmath>

#include "frontend/onnx/ml_scores.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// [N, features] in floats.
Expr matrix(OpContext& c) {
  Expr x = c.expr(0);
  if (x.rank() == 1) x = expand_dims(x, 0);
  if (x.rank() != 2) fail("its input is {}, [N, features] was expected", x.type().text());
  return is_float(x.dtype()) ? widened(x) : cast(x, DType::f32);
}

// A list attribute as [rows, features] for x, transposed on the way.
Expr rows_times(OpContext& c, const Expr& x, const std::vector<double>& list, int64_t rows) {
  const int64_t features = x.shape()[1].value();
  const int64_t most = std::ssize(list);
  if (rows < 1 || (features > 0 && rows > most) || most != rows * features)
    fail("{} numbers for {} rows of {} features", list.size(), rows, features);
  const Expr w = numbers_constant(c.graph(), x.dtype(), list, {rows, features});
  return dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {1}, .dtype = x.dtype()});
}

Expr with_intercepts(OpContext& c, const Expr& y, const std::vector<double>& list) {
  if (list.empty()) return y;
  const int64_t n = y.shape()[1].value();
  if (std::ssize(list) != n) fail("{} intercepts for {} results", list.size(), n);
  return y + numbers_constant(c.graph(), y.dtype(), list, {n});
}

void linear_regressor(OpContext& c) {
  const Expr x = matrix(c);
  const Expr y = rows_times(c, x, c.attr_floats("coefficients"), c.attr_int("targets", 1));
  const Expr moved = with_intercepts(c, y, c.attr_floats("intercepts"));
  c.out(cast(post_transformed(moved, read_post_transform(c)), DType::f32));
}

// One row of coefficients is the second of two classes.
void linear_classifier(OpContext& c) {
  const Expr x = matrix(c);
  c.ignore({"multi_class"});
  Labels labels = read_labels(c, "classlabels_ints", "classlabels_strings");
  const std::vector<double> w = c.attr_floats("coefficients");
  const int64_t features = x.shape()[1].value();
  const int64_t rows = features > 0 ? std::ssize(w) / features : 0;
  Expr y = with_intercepts(c, rows_times(c, x, w, rows), c.attr_floats("intercepts"));
  const PostTransform post = read_post_transform(c);
  if (rows == 1 && labels.count() == 2) y = concat({-y, y}, 1);
  y = cast(post_transformed(y, post), DType::f32);
  if (rows > 1 || labels.count() == 2) {
    if (labels.count() != 0 && labels.count() < y.shape()[1].value())
      fail("{} labels for {} classes", labels.count(), y.shape()[1].text());
    return out_classes(c, labels, first_largest(y), y);
  }
  // A single class: it, or none.
  const Expr score = squeeze(y, 1);
  const double threshold = post == PostTransform::None ? 0 : 0.5;
  const Expr index = cast(ge(score, full_like(score, threshold)), DType::i64);
  if (labels.count() == 1 && labels.texts.empty()) labels.integers = {0, labels.integers[0]};
  else if (labels.count() == 1) labels.texts = {"", labels.texts[0]};
  out_classes(c, labels, index, y);
}

// --- support vectors -----------------------------------------------------------------------------

// The kernel of each row of x with each vector: [N, vectors].
Expr kernels(OpContext& c, const Expr& x, const std::vector<double>& vectors, int64_t count) {
  const std::string kind = c.attr_text("kernel_type", "LINEAR");
  const std::vector<double> p = c.attr_floats("kernel_params", {0, 0, 0});
  if (p.size() < 3) fail("{} kernel_params, three were expected", p.size());
  const Expr product = rows_times(c, x, vectors, count);
  if (kind == "LINEAR") return product;
  const Expr moved = product * p[0] + p[1];
  if (kind == "POLY") return pow(moved, full_like(moved, std::trunc(p[2])));
  if (kind == "SIGMOID") return tanh(moved);
  if (kind != "RBF") fail("kernel_type is '{}'", kind);
  const int64_t features = x.shape()[1].value();
  const Expr v = numbers_constant(c.graph(), x.dtype(), vectors, {1, count, features});
  const Expr difference = expand_dims(x, 1) - v;
  return exp(reduce_sum(difference * difference, {2}) * -p[0]);
}

double first_of(const std::vector<double>& v, std::string_view name) {
  if (v.empty()) fail("attribute '{}' is missing", name);
  return v.front();
}

void svm_regressor(OpContext& c) {
  const Expr x = matrix(c);
  const std::vector<double> weights = c.attr_floats("coefficients");
  const std::vector<double> vectors = c.attr_floats("support_vectors");
  const int64_t count = c.attr_int("n_supports", 0);
  const double rho = first_of(c.attr_floats("rho"), "rho");
  Expr y;
  if (count > 0) {
    if (std::ssize(weights) != count) fail("{} coefficients for {} vectors", weights.size(), count);
    const Expr w = numbers_constant(c.graph(), x.dtype(), weights, {count, 1});
    y = matmul(kernels(c, x, vectors, count), w);
  } else {
    c.ignore({"kernel_type", "kernel_params"});
    y = rows_times(c, x, weights, 1);
  }
  y = y + rho;
  if (c.attr_int("one_class", 0) != 0)
    y = select(gt(y, full_like(y, 0)), full_like(y, 1), full_like(y, -1));
  c.out(cast(post_transformed(y, read_post_transform(c)), DType::f32));
}

// One against one: for classes i < j the score is the sum over the vectors of both, with
// coefficients [classes - 1, vectors], where row j-1 holds those of class i against j and row i
// those of class j against i.
struct Duels {
  Expr scores;  // [N, pairs]
  Expr votes;   // [N, classes]
};

Duels duels(OpContext& c, const Expr& k, const Dims& per_class, const std::vector<double>& weights,
            const std::vector<double>& rho) {
  const auto classes = std::ssize(per_class);
  const int64_t count = k.shape()[1].value(), pairs = classes * (classes - 1) / 2;
  if (std::ssize(weights) != (classes - 1) * count || std::ssize(rho) < pairs)
    fail("{} coefficients and {} values of rho for {} classes of {} vectors", weights.size(),
         rho.size(), classes, count);
  Dims begin = {0};
  for (const int64_t n : per_class) begin.push_back(begin.back() + n);
  std::vector<double> table(static_cast<size_t>(count * pairs), 0), first = {}, second = {};
  std::vector<double> wins(static_cast<size_t>(pairs * classes), 0), losses = wins;
  int64_t pair = 0;
  for (int64_t i = 0; i < classes; ++i)
    for (int64_t j = i + 1; j < classes; ++j, ++pair) {
      const auto take = [&](int64_t row, int64_t of) {
        for (int64_t v = begin[static_cast<size_t>(of)]; v < begin[static_cast<size_t>(of + 1)];
             ++v)
          table[static_cast<size_t>(v * pairs + pair)] =
              weights[static_cast<size_t>(row * count + v)];
      };
      take(j - 1, i);
      take(i, j);
      wins[static_cast<size_t>(pair * classes + i)] = 1;
      losses[static_cast<size_t>(pair * classes + j)] = 1;
    }
  Graph& g = c.graph();
  const DType type = k.dtype();
  const Expr offsets = numbers_constant(g, type, {rho.begin(), rho.begin() + pairs}, {pairs});
  const Expr scores = matmul(k, numbers_constant(g, type, table, {count, pairs})) + offsets;
  const Expr won = cast(gt(scores, full_like(scores, 0)), type);
  return {scores, matmul(won, numbers_constant(g, type, wins, {pairs, classes})) +
                      matmul(1.0 - won, numbers_constant(g, type, losses, {pairs, classes}))};
}

void svm_classifier(OpContext& c) {
  const Expr x = matrix(c);
  const Labels labels = read_labels(c, "classlabels_ints", "classlabels_strings");
  const Dims per_class = c.attr_ints("vectors_per_class");
  const std::vector<double> weights = c.attr_floats("coefficients"), rho = c.attr_floats("rho");
  const std::vector<double> vectors = c.attr_floats("support_vectors");
  const PostTransform post = read_post_transform(c);
  if (!c.attr_floats("prob_a").empty()) c.unsupported("probabilities of an SVM (prob_a)");
  c.ignore({"prob_b"});
  int64_t count = 0;
  for (const int64_t n : per_class) {
    if (n < 0 || n > int64_t{1} << 31) fail("a class of {} vectors", n);
    count += n;
  }
  Expr scores, index;
  if (count > 0) {
    const Duels d = duels(c, kernels(c, x, vectors, count), per_class, weights, rho);
    scores = d.scores;
    index = first_largest(d.votes);
  } else {
    c.ignore({"kernel_type", "kernel_params"});
    scores = rows_times(c, x, weights, std::max<int64_t>(labels.count(), 1)) + first_of(rho, "rho");
    index = first_largest(scores);
  }
  if (count > 0 && scores.shape()[1].value() == 1 && labels.count() == 2)
    scores = concat({-scores, scores}, 1);  // of two classes
  out_classes(c, labels, index, cast(post_transformed(scores, post), DType::f32));
}

constexpr OpRow kRows[] = {
    {"LinearClassifier", 1, linear_classifier},
    {"LinearRegressor", 1, linear_regressor},
    {"SVMClassifier", 1, svm_classifier},
    {"SVMRegressor", 1, svm_regressor},
};

}  // namespace

std::span<const OpRow> ml_model_rows() { return kRows; }

}  // namespace lathe::onnx
