#include "ir/kernel.h"

namespace lathe {

IndexExpr operator+(const IndexExpr& a, const IndexExpr& b) {
  IndexExpr out(a.constant + b.constant);
  size_t i = 0, j = 0;
  while (i < a.terms.size() || j < b.terms.size()) {
    if (j == b.terms.size() || (i < a.terms.size() && a.terms[i].symbol < b.terms[j].symbol)) {
      out.terms.push_back(a.terms[i++]);
    } else if (i == a.terms.size() || b.terms[j].symbol < a.terms[i].symbol) {
      out.terms.push_back(b.terms[j++]);
    } else {
      const int64_t sum = a.terms[i].coefficient + b.terms[j].coefficient;
      if (sum != 0) out.terms.push_back({a.terms[i].symbol, sum});
      ++i, ++j;
    }
  }
  return out;
}

IndexExpr operator*(const IndexExpr& a, int64_t factor) {
  if (factor == 0) return 0;
  IndexExpr out = a;
  out.constant *= factor;
  for (IndexTerm& t : out.terms) t.coefficient *= factor;
  return out;
}

int64_t Kernel::points() const { return element_count(par); }
int64_t Kernel::steps() const { return element_count(red); }

int64_t chunk_count(const Kernel& k, const KernelSchedule& s) {
  if (s.parallel < 0) return 1;
  const int64_t extent = k.par[static_cast<size_t>(s.parallel)];
  return (extent + s.grain - 1) / s.grain;
}

}  // namespace lathe
