// Ensembles of decision trees, all walked at once: every tree of every row takes one step after
// another down to its leaf, where it stays.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "frontend/onnx/ml_scores.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

enum class Mode : uint8_t { Le, Lt, Ge, Gt, Eq, Ne, Member };

struct Branch {
  Mode mode = Mode::Le;
  int64_t feature = 0;
  double split = 0;
  bool nan_is_true = false;
  int64_t yes = 0, no = 0;  // nodes; a leaf's are itself
};

enum class Aggregate : uint8_t { Average, Sum, Min, Max };

struct Forest {
  std::vector<Branch> nodes;
  Dims roots;
  int64_t targets = 1;
  // By node: what a leaf gives to targets.
  std::map<int64_t, std::vector<std::pair<int64_t, double>>> leaves;
};

// How many steps it takes from any root to a leaf.
int64_t depth(const Forest& f) {
  const auto n = std::ssize(f.nodes);
  Dims level = f.roots;
  for (int64_t steps = 0;; ++steps) {
    Dims next;
    for (const int64_t at : level) {
      const Branch& b = f.nodes[static_cast<size_t>(at)];
      for (const int64_t to : {b.yes, b.no})
        if (to != at) next.push_back(to);
    }
    if (next.empty()) return steps;
    if (steps == n) fail("its nodes form a circle");
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
    level = std::move(next);
  }
}

template <class F>
Expr column(Graph& g, DType type, const Forest& f, F&& value) {
  Tensor t = Tensor::empty(type, {std::ssize(f.nodes)});
  for (int64_t i = 0; i < t.size(); ++i) {
    const double v = static_cast<double>(value(f.nodes[static_cast<size_t>(i)]));
    t.set(i, v);
  }
  return constant(g, t);
}

// The nodes after one step from `at` [N, trees]; x is flat, `row` [N, 1] is where its rows begin.
Expr stepped(Graph& g, const Forest& f, const Expr& x, const Expr& row, const Expr& at) {
  const auto here = [&](const Expr& table) { return gather(table, at, 0); };
  const Expr v =
      gather(x, row + here(column(g, DType::i32, f, [](const Branch& b) { return b.feature; })), 0);
  const Expr split = here(column(g, x.dtype(), f, [](const Branch& b) { return b.split; }));
  const Expr mode =
      here(column(g, DType::i32, f, [](const Branch& b) { return static_cast<int64_t>(b.mode); }));
  const Expr nan =
      here(column(g, DType::boolean, f, [](const Branch& b) { return b.nan_is_true ? 1 : 0; }));
  const std::pair<Mode, Expr> tests[] = {{Mode::Lt, lt(v, split)},
                                         {Mode::Ge, ge(v, split)},
                                         {Mode::Gt, gt(v, split)},
                                         {Mode::Eq, eq(v, split)},
                                         {Mode::Ne, ne(v, split)}};
  Expr taken = le(v, split);
  for (const auto& [m, test] : tests)
    if (std::any_of(f.nodes.begin(), f.nodes.end(), [&](const Branch& b) { return b.mode == m; }))
      taken = select(eq(mode, static_cast<double>(m)), test, taken);
  taken = bit_or(taken, bit_and(nan, ne(v, v)));
  return select(taken, here(column(g, DType::i32, f, [](const Branch& b) { return b.yes; })),
                here(column(g, DType::i32, f, [](const Branch& b) { return b.no; })));
}

// The leaves of x [N, features]: [N, trees].
Expr leaves_of(Graph& g, const Forest& f, const Expr& x) {
  const Dims dx = x.shape().static_dims();
  for (const Branch& b : f.nodes)
    if (b.feature < 0 || b.feature >= std::max<int64_t>(dx[1], 1))
      fail("a node reads feature {} of {}", b.feature, dx[1]);
  const auto trees = std::ssize(f.roots);
  const Expr roots = cast(list_constant(g, f.roots), DType::i32);
  const Expr begin = broadcast_to(roots, Shape{dx[0], trees});
  const Expr row = iota(g, DType::i32, Shape{dx[0], 1}, 0) * static_cast<double>(dx[1]);
  const Expr flat = reshape(x, Shape{dx[0] * dx[1]});
  const auto body = std::make_shared<Graph>("descend");
  const Expr at = input(*body, "at", begin.type()), from = input(*body, "x", flat.type());
  const Expr rows = input(*body, "row", row.type());
  body->add_output("at", stepped(*body, f, from, rows, at).value);
  return scan(g, body, {begin}, {}, {flat, row}, Dim(depth(f)))[0];
}

// What the trees give to each target: [N, targets].
Expr aggregated(OpContext& c, const Forest& f, const Expr& x, Aggregate how) {
  Graph& g = c.graph();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double nothing = how == Aggregate::Min ? kInfinity : how == Aggregate::Max ? -kInfinity : 0;
  c.check_table({std::ssize(f.nodes), f.targets}, "weights of leaves");
  const auto n = static_cast<size_t>(std::ssize(f.nodes) * f.targets);
  std::vector<double> table(n, nothing);
  for (const auto& [node, gives] : f.leaves)
    for (const auto& [target, weight] : gives) {
      double& cell = table[static_cast<size_t>(node * f.targets + target)];
      if (how == Aggregate::Min) cell = std::min(cell, weight);
      else if (how == Aggregate::Max) cell = std::max(cell, weight);
      else cell += weight;
    }
  const Expr weights = numbers_constant(g, x.dtype(), table, {std::ssize(f.nodes), f.targets});
  const Expr each = gather(weights, leaves_of(g, f, x), 0);  // [N, trees, targets]
  if (how == Aggregate::Min) return reduce_min(each, {1});
  if (how == Aggregate::Max) return reduce_max(each, {1});
  const Expr sum = reduce_sum(each, {1});
  return how == Aggregate::Sum ? sum : sum / static_cast<double>(std::ssize(f.roots));
}

Expr matrix(OpContext& c) {
  const Expr x = c.expr(0);
  if (x.rank() != 2) fail("its input is {}, [N, features] was expected", x.type().text());
  return is_float(x.dtype()) ? widened(x) : cast(x, DType::f32);
}

template <class V>
auto at_index(const V& values, size_t i, std::string_view name) {
  if (i >= values.size()) fail("attribute '{}' has {} values", name, values.size());
  return values[i];
}

// --- version 5: TreeEnsemble ---------------------------------------------------------------------

std::vector<double> tensor_numbers(OpContext& c, std::string_view name) {
  std::vector<double> out;
  if (!c.has_attribute(name)) return out;
  const HostTensor t = c.attr_tensor(name);
  if (t.is_string()) fail("attribute '{}' is {}", name, t.type_text());
  for (int64_t i = 0; i < t.numbers.size(); ++i) out.push_back(t.numbers.at(i));
  return out;
}

// Membership becomes a chain of tests for equality: of a node's values all but the first lie in
// nodes of their own.
void expand_members(Forest& f, size_t node, std::span<const double> members) {
  const Branch b = f.nodes[node];
  size_t at = node;
  for (size_t i = 0; i < members.size(); ++i) {
    const bool last = i + 1 == members.size();
    const int64_t next = last ? b.no : std::ssize(f.nodes);
    f.nodes[at] = {Mode::Eq, b.feature, members[i], b.nan_is_true, b.yes, next};
    if (!last) at = f.nodes.size(), f.nodes.emplace_back();
  }
  if (members.empty())  // of nothing: only NaN may be let through
    f.nodes[node] = {Mode::Lt,      b.feature, -std::numeric_limits<double>::infinity(),
                     b.nan_is_true, b.yes,     b.no};
}

Forest read_forest(OpContext& c) {
  Forest f;
  f.targets = c.attr_int("n_targets", 1);
  if (f.targets < 1) fail("n_targets is {}", f.targets);
  f.roots = c.attr_ints("tree_roots");
  const std::vector<double> splits = tensor_numbers(c, "nodes_splits");
  const std::vector<double> modes = tensor_numbers(c, "nodes_modes");
  const std::vector<double> members = tensor_numbers(c, "membership_values");
  const std::vector<double> weights = tensor_numbers(c, "leaf_weights");
  const Dims features = c.attr_ints("nodes_featureids"), yes = c.attr_ints("nodes_truenodeids"),
             no = c.attr_ints("nodes_falsenodeids"), yes_leaf = c.attr_ints("nodes_trueleafs"),
             no_leaf = c.attr_ints("nodes_falseleafs"), targets = c.attr_ints("leaf_targetids"),
             nan = c.attr_ints("nodes_missing_value_tracks_true");
  c.ignore({"nodes_hitrates"});
  const size_t n = features.size(), leaves = weights.size();
  const auto first_leaf = static_cast<int64_t>(n);
  const auto limit = [](int64_t id, size_t count) {
    if (id < 0 || id >= static_cast<int64_t>(count)) fail("node or leaf {} of {}", id, count);
    return id;
  };
  const auto target = [&](int64_t id, bool leaf) {
    return leaf ? first_leaf + limit(id, leaves) : limit(id, n);
  };
  for (size_t i = 0; i < n; ++i) {
    const double mode = at_index(modes, i, "nodes_modes");
    if (!(mode >= 0 && mode <= 6)) fail("a node of mode {}", mode);
    f.nodes.push_back({static_cast<Mode>(static_cast<int>(mode)), features[i],
                       at_index(splits, i, "nodes_splits"),
                       !nan.empty() && at_index(nan, i, "nodes_missing_value_tracks_true") != 0,
                       target(at_index(yes, i, "nodes_truenodeids"),
                              at_index(yes_leaf, i, "nodes_trueleafs") != 0),
                       target(at_index(no, i, "nodes_falsenodeids"),
                              at_index(no_leaf, i, "nodes_falseleafs") != 0)});
  }
  for (size_t i = 0; i < leaves; ++i) {
    const int64_t at = first_leaf + static_cast<int64_t>(i);
    const int64_t id = at_index(targets, i, "leaf_targetids");
    f.nodes.push_back({.yes = at, .no = at});
    f.leaves[at].emplace_back(limit(id, static_cast<size_t>(f.targets)), weights[i]);
  }
  auto from = members.begin();
  for (size_t i = 0; i < n; ++i) {
    if (f.nodes[i].mode != Mode::Member) continue;
    const auto to = std::find_if(from, members.end(), [](double v) { return std::isnan(v); });
    expand_members(f, i, {from, to});
    from = to == members.end() ? to : to + 1;
  }
  for (const int64_t root : f.roots) limit(root, n);
  return f;
}

void tree_ensemble(OpContext& c) {
  const Expr x = matrix(c);
  const int64_t how = c.attr_int("aggregate_function", 1), post = c.attr_int("post_transform", 0);
  if (how < 0 || how > 3) fail("aggregate_function is {}", how);
  if (post < 0 || post > 4) fail("post_transform is {}", post);
  const Forest f = read_forest(c);
  const Expr y = aggregated(c, f, x, static_cast<Aggregate>(how));
  c.out(cast(post_transformed(y, static_cast<PostTransform>(post)), c.dtype(0)));
}

// --- before: a node is named by its tree and its number in it ------------------------------------

Mode mode_of(const std::string& text) {
  constexpr std::pair<std::string_view, Mode> kModes[] = {
      {"BRANCH_LEQ", Mode::Le}, {"BRANCH_LT", Mode::Lt}, {"BRANCH_GTE", Mode::Ge},
      {"BRANCH_GT", Mode::Gt},  {"BRANCH_EQ", Mode::Eq}, {"BRANCH_NEQ", Mode::Ne}};
  for (const auto& [name, mode] : kModes)
    if (name == text) return mode;
  fail("a node of mode '{}'", text);
}

// `prefix`: "class" or "target".
Forest read_old_forest(OpContext& c, const std::string& prefix, int64_t targets) {
  Forest f;
  f.targets = targets;
  const Dims trees = c.attr_ints("nodes_treeids"), ids = c.attr_ints("nodes_nodeids"),
             features = c.attr_ints("nodes_featureids"), yes = c.attr_ints("nodes_truenodeids"),
             no = c.attr_ints("nodes_falsenodeids"),
             nan = c.attr_ints("nodes_missing_value_tracks_true");
  const std::vector<std::string> modes = c.attr_texts("nodes_modes");
  const std::vector<double> values = floats_or_tensor(c, "nodes_values");
  c.ignore({"nodes_hitrates", "nodes_hitrates_as_tensor"});
  std::map<std::pair<int64_t, int64_t>, int64_t> index;
  for (size_t i = 0; i < trees.size(); ++i) {
    const bool new_tree = std::find(trees.begin(), trees.begin() + static_cast<ptrdiff_t>(i),
                                    trees[i]) == trees.begin() + static_cast<ptrdiff_t>(i);
    if (new_tree) f.roots.push_back(static_cast<int64_t>(i));
    index[{trees[i], at_index(ids, i, "nodes_nodeids")}] = static_cast<int64_t>(i);
  }
  const auto find = [&](int64_t tree, int64_t id) {
    const auto it = index.find({tree, id});
    if (it == index.end()) fail("tree {} has no node {}", tree, id);
    return it->second;
  };
  for (size_t i = 0; i < trees.size(); ++i) {
    const auto self = static_cast<int64_t>(i);
    const std::string mode = at_index(modes, i, "nodes_modes");
    if (mode == "LEAF") f.nodes.push_back({.yes = self, .no = self});
    else
      f.nodes.push_back({mode_of(mode), at_index(features, i, "nodes_featureids"),
                         at_index(values, i, "nodes_values"), i < nan.size() && nan[i] != 0,
                         find(trees[i], at_index(yes, i, "nodes_truenodeids")),
                         find(trees[i], at_index(no, i, "nodes_falsenodeids"))});
  }
  const Dims of_tree = c.attr_ints(prefix + "_treeids"), of_node = c.attr_ints(prefix + "_nodeids"),
             of_target = c.attr_ints(prefix + "_ids");
  const std::vector<double> weights = floats_or_tensor(c, prefix + "_weights");
  for (size_t i = 0; i < of_target.size(); ++i) {
    if (of_target[i] < 0 || of_target[i] >= targets)
      fail("{} {} of {}", prefix, of_target[i], targets);
    f.leaves[find(at_index(of_tree, i, prefix + "_treeids"),
                  at_index(of_node, i, prefix + "_nodeids"))]
        .emplace_back(of_target[i], at_index(weights, i, prefix + "_weights"));
  }
  return f;
}

// One for each target, or one for all.
Expr with_base(OpContext& c, const Expr& y, int64_t targets) {
  const std::vector<double> base = floats_or_tensor(c, "base_values");
  if (base.empty()) return y;
  if (std::ssize(base) != targets && base.size() != 1)
    fail("{} base values for {} targets", base.size(), targets);
  return y + numbers_constant(c.graph(), y.dtype(), base, {std::ssize(base)});
}

void tree_regressor(OpContext& c) {
  const Expr x = matrix(c);
  const std::string how = c.attr_text("aggregate_function", "SUM");
  const Aggregate a = how == "AVERAGE" ? Aggregate::Average
                      : how == "MIN"   ? Aggregate::Min
                      : how == "MAX"   ? Aggregate::Max
                                       : Aggregate::Sum;
  if (a == Aggregate::Sum && how != "SUM") fail("aggregate_function is '{}'", how);
  const int64_t targets = c.attr_int("n_targets", 1);
  const Forest f = read_old_forest(c, "target", targets);
  const Expr y = with_base(c, aggregated(c, f, x, a), targets);
  c.out(cast(post_transformed(y, read_post_transform(c)), DType::f32));
}

// Where leaves weigh one class only, the other of two classes gets the rest.
void tree_classifier(OpContext& c) {
  const Expr x = matrix(c);
  Labels labels = read_labels(c, "classlabels_int64s", "classlabels_strings");
  const PostTransform post = read_post_transform(c);
  const int64_t classes = labels.count();
  if (classes < 1) fail("it has no class labels");
  const Dims weighed = c.attr_ints("class_ids");
  const Forest f = read_old_forest(c, "class", classes);
  Expr y = with_base(c, aggregated(c, f, x, Aggregate::Sum), classes);
  const bool binary = classes <= 2 && std::all_of(weighed.begin(), weighed.end(), [&](int64_t id) {
                        return id == weighed.front();
                      });
  if (binary) {
    const Expr score = slice_axis(y, 1, 0, 1);
    const bool complement = post == PostTransform::None || post == PostTransform::Probit;
    y = concat({complement ? 1.0 - score : -score, score}, 1);
    if (classes == 1 && labels.texts.empty()) labels.integers = {0, labels.integers[0]};
    else if (classes == 1) labels.texts = {"", labels.texts[0]};
  }
  y = cast(post_transformed(y, post), DType::f32);
  out_classes(c, labels, first_largest(y), y);
}

constexpr OpRow kRows[] = {
    {"TreeEnsemble", 5, tree_ensemble},
    {"TreeEnsembleClassifier", 1, tree_classifier},
    {"TreeEnsembleRegressor", 1, tree_regressor},
};

}  // namespace

std::span<const OpRow> ml_tree_rows() { return kRows; }

}  // namespace lathe::onnx
