// What a causal mask hides: columns of a region's products that contribute nothing to some rows.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "passes/row_region.h"

namespace lathe {

// Where the rows of literals end in elements that are all one number, as those of a triangle do:
// found once for each literal.
class LiteralTails {
 public:
  struct Tail {
    int64_t first = 0;  // the column
    double value = 0;
  };
  // By row; of one row where `rows` is -1. Other axes are taken together.
  const std::vector<Tail>& of(const Graph& g, Value literal, int rows, int columns);

 private:
  std::map<std::tuple<Value, int, int>, std::vector<Tail>> known_;
};

// The least c such that, of rows [begin, end), columns from c on are -inf where a maximum is taken
// of them and 0 where they are summed; all of them where that is not known from the graph, by
// intervals of what is computed from iotas, and by literals. Scores, keys and values are taken for
// finite: a NaN or an infinity that is hidden makes NaN of 0 times it, and is not read where the
// columns are left out.
int64_t visible_columns(const Graph& g, const RowRegion& r, int64_t begin, int64_t end,
                        LiteralTails& tails);

}  // namespace lathe
