#include "ir/base/dim.h"

#include <algorithm>
#include <cctype>

namespace lathe {
namespace {

// Real dims have a handful; a product of hostile sums must not grow without bound.
constexpr size_t kMaxTerms = 256;

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

int64_t checked_mul(int64_t a, int64_t b) {
  int64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r)) fail("dimension {}*{} overflows 64 bits", a, b);
  return r;
}
int64_t checked_add(int64_t a, int64_t b) {
  int64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) fail("dimension {}+{} overflows 64 bits", a, b);
  return r;
}

int64_t floor_divide(int64_t a, int64_t b) {
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}

// Recursive descent over  sum := product (('+'|'-') product)* ; product := factor ('*' factor)*.
class DimParser {
 public:
  explicit DimParser(std::string_view text) : text_(text) {}

  Result<Dim> run() {
    Dim d = sum(0);
    skip();
    if (!error_ && at_ != text_.size()) error_ = true;
    if (error_) return failure("'{}' is not a dimension (like 3, batch or 2*length+1)", text_);
    return d;
  }

 private:
  static constexpr int kMaxDepth = 50;

  Dim sum(int depth) {
    if (depth > kMaxDepth) error_ = true;
    if (error_) return 0;
    Dim total = take('-') ? Dim(0) - product(depth) : product(depth);
    for (;;) {
      if (take('+')) total = total + product(depth);
      else if (take('-')) total = total - product(depth);
      else return total;
      if (error_) return 0;
    }
  }
  Dim product(int depth) {
    Dim total = factor(depth);
    while (!error_ && take('*')) total = total * factor(depth);
    return total;
  }
  Dim factor(int depth) {
    skip();
    if (take('(')) {
      Dim d = sum(depth + 1);
      expect(')');
      return d;
    }
    if (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0)
      return number();
    const size_t start = at_;
    while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
    const std::string_view name = text_.substr(start, at_ - start);
    if (name.empty()) {
      error_ = true;
      return 0;
    }
    if (name == "floordiv") {
      expect('(');
      Dim a = sum(depth + 1);
      expect(',');
      skip();
      const int64_t divisor = number();
      expect(')');
      if (divisor <= 0) error_ = true;
      return error_ ? Dim(0) : floordiv(a, divisor);
    }
    return Dim::symbol(name);
  }
  int64_t number() {
    int64_t v = 0;
    const size_t start = at_;
    while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) {
      if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text_[at_] - '0', &v))
        error_ = true;
      ++at_;
    }
    if (at_ == start) error_ = true;
    return v;
  }
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) error_ = true;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool error_ = false;
};

}  // namespace

Dim Dim::symbol(std::string_view name) {
  LATHE_ASSERT(!name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
                   std::all_of(name.begin(), name.end(), is_name_char),
               "'{}' is not a symbol", name);
  Dim d;
  d.terms_.push_back({{std::string(name)}, 1});
  return d;
}

int64_t Dim::value() const {
  LATHE_ASSERT(is_static(), "dimension {} is not bound", text());
  return constant_;
}

void Dim::add_term(const Term& term) {
  const auto place =
      std::lower_bound(terms_.begin(), terms_.end(), term,
                       [](const Term& a, const Term& b) { return a.atoms < b.atoms; });
  if (place != terms_.end() && place->atoms == term.atoms) {
    place->coefficient = checked_add(place->coefficient, term.coefficient);
    if (place->coefficient == 0) terms_.erase(place);
  } else if (term.coefficient != 0) {
    terms_.insert(place, term);
  }
}

Dim operator+(const Dim& a, const Dim& b) {
  Dim r = a;
  r.constant_ = checked_add(r.constant_, b.constant_);
  for (const auto& t : b.terms_) r.add_term(t);
  return r;
}

Dim operator-(const Dim& a, const Dim& b) { return a + b * Dim(-1); }

Dim operator*(const Dim& a, const Dim& b) {
  Dim r = checked_mul(a.constant_, b.constant_);
  const auto scale = [&](const Dim& d, int64_t factor) {
    if (factor == 0) return;
    for (auto t : d.terms_) {
      t.coefficient = checked_mul(t.coefficient, factor);
      r.add_term(t);
    }
  };
  scale(a, b.constant_);
  scale(b, a.constant_);
  for (const auto& x : a.terms_)
    for (const auto& y : b.terms_) {
      Dim::Term t{x.atoms, checked_mul(x.coefficient, y.coefficient)};
      t.atoms.insert(t.atoms.end(), y.atoms.begin(), y.atoms.end());
      std::sort(t.atoms.begin(), t.atoms.end());
      r.add_term(t);
      if (r.terms_.size() > kMaxTerms) fail("a dimension has more than {} terms", kMaxTerms);
    }
  return r;
}

Dim floordiv(const Dim& a, int64_t divisor) {
  LATHE_ASSERT(divisor > 0);
  if (a.is_static()) return floor_divide(a.constant_, divisor);
  // Terms whose coefficient divides leave exactly; the rest stays inside one opaque atom.
  Dim whole;
  Dim rest = floor_divide(a.constant_, divisor) == 0 ? a.constant_ : a.constant_ % divisor;
  whole.constant_ = (a.constant_ - rest.constant_) / divisor;
  for (const auto& t : a.terms_) {
    if (t.coefficient % divisor == 0) whole.add_term({t.atoms, t.coefficient / divisor});
    else rest.add_term(t);
  }
  if (rest.is_static()) return whole + Dim(floor_divide(rest.constant_, divisor));
  Dim atom;
  atom.terms_.push_back({{fmt::format("floordiv({},{})", rest.text(), divisor)}, 1});
  return whole + atom;
}

Dim Dim::bind(const DimBinding& binding) const {
  Dim r = constant_;
  for (const auto& t : terms_) {
    Dim product = t.coefficient;
    for (const auto& atom : t.atoms) {
      const auto found = binding.find(atom);
      if (found != binding.end()) {
        product = product * Dim(found->second);
      } else if (atom.starts_with("floordiv(")) {
        const size_t comma = atom.rfind(',');
        const Dim inner = parse(std::string_view(atom).substr(9, comma - 9)).value().bind(binding);
        product = product * floordiv(inner, std::stoll(atom.substr(comma + 1)));
      } else {
        product = product * symbol(atom);
      }
    }
    r = r + product;
  }
  return r;
}

void Dim::collect_symbols(std::vector<std::string>& out) const {
  for (const auto& t : terms_)
    for (const auto& atom : t.atoms) {
      if (atom.starts_with("floordiv(")) {
        const size_t comma = atom.rfind(',');
        parse(std::string_view(atom).substr(9, comma - 9)).value().collect_symbols(out);
      } else if (std::find(out.begin(), out.end(), atom) == out.end()) {
        out.push_back(atom);
      }
    }
}

std::string Dim::text() const {
  std::string out;
  for (const auto& t : terms_) {
    if (t.coefficient < 0) out += '-';
    else if (!out.empty()) out += '+';
    const int64_t magnitude = t.coefficient < 0 ? -t.coefficient : t.coefficient;
    if (magnitude != 1) out += fmt::format("{}*", magnitude);
    for (size_t i = 0; i < t.atoms.size(); ++i) out += (i == 0 ? "" : "*") + t.atoms[i];
  }
  if (constant_ != 0 || out.empty()) {
    if (constant_ >= 0 && !out.empty()) out += '+';
    out += std::to_string(constant_);
  }
  return out;
}

Result<Dim> Dim::parse(std::string_view text) { return DimParser(text).run(); }

}  // namespace lathe
