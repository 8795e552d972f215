// Einsum: operands are combined one after the other, each pair as one contraction over what is not
// needed later.
#include <algorithm>
#include <cctype>
#include <map>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// A name for each axis: a letter, or a number below kLetter for what an ellipsis stands for, the
// last axis being the largest.
using Label = int;
using Labels = std::vector<Label>;
constexpr Label kLetter = 'A';

struct Term {
  Expr x;
  Labels labels;  // distinct
  bool has(Label l) const { return std::ranges::find(labels, l) != labels.end(); }
  int64_t axis(Label l) const { return std::ranges::find(labels, l) - labels.begin(); }
};

// "i...j" for a tensor of `rank` axes; -1 where nothing says how many the ellipsis has.
Labels parse_labels(std::string_view text, int64_t rank, int64_t ellipsis) {
  Labels out;
  const auto letters =
      std::ranges::count_if(text, [](unsigned char ch) { return std::isalpha(ch); });
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::isalpha(static_cast<unsigned char>(text[i])) != 0) {
      out.push_back(text[i]);
    } else if (text.substr(i, 3) == "...") {
      const int64_t axes = ellipsis >= 0 ? ellipsis : rank - letters;
      if (axes < 0) fail("'{}' has more letters than the {} axes of its operand", text, rank);
      for (int64_t k = 0; k < axes; ++k) out.push_back(static_cast<Label>(kLetter - axes + k));
      i += 2;
    } else {
      fail("'{}' is no list of axes", text);
    }
  }
  if (rank >= 0 && std::ssize(out) != rank)
    fail("'{}' names {} axes, its operand has {}", text, out.size(), rank);
  return out;
}

// Axes of one label become their diagonal.
Term without_repeats(Term t) {
  for (size_t i = 0; i < t.labels.size(); ++i) {
    const auto twin =
        std::find(t.labels.begin() + static_cast<ptrdiff_t>(i) + 1, t.labels.end(), t.labels[i]);
    if (twin == t.labels.end()) continue;
    const auto a = static_cast<int64_t>(i), b = twin - t.labels.begin();
    const int64_t n = t.x.shape()[static_cast<int>(a)].value();
    if (t.x.shape()[static_cast<int>(b)].value() != n)
      fail("axes {} and {} of {} have one letter", a, b, t.x.type().text());
    Dims perm = range(0, t.x.rank());
    perm.erase(perm.begin() + b), perm.erase(perm.begin() + a);
    perm.insert(perm.end(), {a, b});
    Dims dims = transpose(t.x, perm).shape().static_dims();
    dims.pop_back();
    dims.back() = n * n;
    const Expr flat = reshape(transpose(t.x, perm), Shape(dims));
    std::vector<Dim> start(dims.size(), Dim(0)), size(dims.begin(), dims.end());
    Dims stride(dims.size(), 1);
    size.back() = Dim(n), stride.back() = n + 1;
    t.x = slice(flat, start, size, stride);
    const Label label = t.labels[i];
    t.labels.erase(t.labels.begin() + b), t.labels.erase(t.labels.begin() + a);
    t.labels.push_back(label);
    return without_repeats(std::move(t));
  }
  return t;
}

// Without the axes whose labels are not needed.
Term summed(const Term& t, const Labels& needed) {
  Dims axes;
  Term out = t;
  for (size_t i = t.labels.size(); i-- > 0;) {
    if (std::ranges::find(needed, t.labels[i]) != needed.end()) continue;
    axes.insert(axes.begin(), static_cast<int64_t>(i));
    out.labels.erase(out.labels.begin() + static_cast<ptrdiff_t>(i));
  }
  if (!axes.empty()) out.x = reduce_sum(t.x, axes);
  return out;
}

// With these labels as axes in this order; those that t lacks are 1.
Expr aligned(const Term& t, const Labels& order) {
  Dims perm;
  std::vector<Dim> dims;
  for (const Label l : order) {
    if (t.has(l)) perm.push_back(t.axis(l));
    dims.push_back(t.has(l) ? t.x.shape()[static_cast<int>(t.axis(l))] : Dim(1));
  }
  return reshape(transpose(t.x, perm), Shape(std::move(dims)));
}

Term product(const Term& a, const Term& b, const Labels& needed) {
  DotAttrs dot{.dtype = a.x.dtype()};
  Labels shared, of_a, of_b;
  for (const Label l : a.labels) {
    const bool wanted = std::ranges::find(needed, l) != needed.end();
    if (!b.has(l)) {
      of_a.push_back(l);
    } else if (wanted) {
      dot.lhs_batch.push_back(a.axis(l)), dot.rhs_batch.push_back(b.axis(l));
      shared.push_back(l);
    } else {
      dot.lhs_contract.push_back(a.axis(l)), dot.rhs_contract.push_back(b.axis(l));
    }
  }
  for (const Label l : b.labels)
    if (!a.has(l)) of_b.push_back(l);
  Labels all = shared;
  all.insert(all.end(), of_a.begin(), of_a.end());
  all.insert(all.end(), of_b.begin(), of_b.end());
  if (dot.lhs_contract.empty()) return {aligned(a, all) * aligned(b, all), all};
  return {dot_general(a.x, b.x, dot), all};
}

struct Equation {
  std::vector<Labels> inputs;
  Labels output;
};

Equation parse(OpContext& c) {
  std::string text = c.attr_text("equation");
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  std::string_view left = std::string_view(text).substr(0, arrow);
  Equation out;
  int64_t ellipsis = 0;
  for (int i = 0;; ++i) {
    const size_t comma = left.find(',');
    if (i >= c.inputs()) fail("'{}' has more terms than the {} inputs", text, c.inputs());
    out.inputs.push_back(parse_labels(left.substr(0, comma), c.rank(i), -1));
    for (const Label l : out.inputs.back()) ellipsis = std::max<int64_t>(ellipsis, kLetter - l);
    if (comma == std::string_view::npos) break;
    left.remove_prefix(comma + 1);
  }
  if (std::ssize(out.inputs) != c.inputs())
    fail("'{}' has {} terms for {} inputs", text, out.inputs.size(), c.inputs());
  if (arrow != std::string::npos) {
    out.output = parse_labels(std::string_view(text).substr(arrow + 2), -1, ellipsis);
    return out;
  }
  // The ellipsis, then the letters that occur once.
  std::map<Label, int> count;
  for (const Labels& labels : out.inputs)
    for (const Label l : labels) ++count[l];
  for (const auto& [l, n] : count)
    if (l < kLetter || n == 1) out.output.push_back(l);
  return out;
}

void einsum(OpContext& c) {
  const Equation e = parse(c);
  std::vector<Term> terms;
  std::map<Label, int64_t> extents;
  for (int i = 0; i < c.inputs(); ++i) {
    terms.push_back(without_repeats({c.expr(i), e.inputs[static_cast<size_t>(i)]}));
    for (const Label l : terms.back().labels) {
      const int64_t n = terms.back().x.shape()[static_cast<int>(terms.back().axis(l))].value();
      int64_t& extent = extents.emplace(l, n).first->second;
      if (extent != n && extent != 1 && n != 1)
        fail("an axis of one name has {} and {} elements", extent, n);
      if (extent == 1) extent = n;
    }
  }
  for (const Label l : e.output)
    if (!extents.contains(l) || std::ranges::count(e.output, l) != 1)
      fail("the result's axes are not those of the operands, each once");
  for (Term& t : terms)  // a 1 repeats as often as the others have it
    for (size_t i = t.labels.size(); i-- > 0;)
      if (extents.at(t.labels[i]) != 1 && t.x.shape()[static_cast<int>(i)].value() == 1) {
        t.x = squeeze(t.x, static_cast<int64_t>(i));
        t.labels.erase(t.labels.begin() + static_cast<ptrdiff_t>(i));
      }
  const auto needed_after = [&](size_t next) {
    Labels out = e.output;
    for (size_t i = next; i < terms.size(); ++i)
      out.insert(out.end(), terms[i].labels.begin(), terms[i].labels.end());
    return out;
  };
  Term result = summed(terms[0], needed_after(1));
  for (size_t i = 1; i < terms.size(); ++i) {
    Labels needed = needed_after(i + 1);
    Labels here = needed;
    here.insert(here.end(), result.labels.begin(), result.labels.end());
    result = product(result, summed(terms[i], here), needed);
    result = summed(result, needed);
  }
  c.out(aligned(result, e.output));
}

constexpr OpRow kRows[] = {
    {"Einsum", 12, einsum},
};

}  // namespace

std::span<const OpRow> einsum_rows() { return kRows; }

}  // namespace lathe::onnx
