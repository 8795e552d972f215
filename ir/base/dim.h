// One dimension of a shape: a number, or a polynomial of named symbols with integer coefficients.
//
// `batch`, `length+1` and `2*batch*heads` are dims. Division appears only as an opaque atom,
// `floordiv(length+1,2)`, so equal polynomials have equal text and comparison is exact for
// everything type inference asks. Symbols are bound to numbers before lowering; below the Graph
// every dim is a number.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"

namespace lathe {

using DimBinding = std::map<std::string, int64_t>;

class Dim {
 public:
  Dim() = default;
  Dim(int64_t value) : constant_(value) {}
  Dim(int value) : constant_(value) {}
  // A symbol: letters, digits and '_', not starting with a digit.
  static Dim symbol(std::string_view name);

  bool is_static() const { return terms_.empty(); }
  // Precondition: is_static().
  int64_t value() const;

  // Substitutes symbols; those not in the binding stay. Division by zero is a user error.
  Dim bind(const DimBinding& binding) const;
  void collect_symbols(std::vector<std::string>& out) const;

  std::string text() const;
  // Reads the form written by text(), and any expression of + - * floordiv() and parentheses.
  static Result<Dim> parse(std::string_view text);

  friend bool operator==(const Dim&, const Dim&) = default;
  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);

  // floor(a / divisor), divisor > 0. Exact polynomial division where every coefficient divides.
  friend Dim floordiv(const Dim& a, int64_t divisor);

 private:
  // A monomial is a sorted product of atoms joined by '*'; an atom is a symbol or a floordiv text.
  struct Term {
    std::vector<std::string> atoms;
    int64_t coefficient = 0;
    friend bool operator==(const Term&, const Term&) = default;
  };
  void add_term(const Term& term);

  int64_t constant_ = 0;
  std::vector<Term> terms_;  // sorted by atoms, no zero coefficient
};

Dim floordiv(const Dim& a, int64_t divisor);

}  // namespace lathe
