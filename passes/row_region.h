// Regions whose values are far larger than what goes in and out of them: a product that expands its
// factors (queries by keys), what is computed from it row by row (scale, mask, softmax), and the
// products and sums that make it small again. Found by structure, whatever a model calls it.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct RowLimits {
  int64_t ratio = 4;                 // of a product's elements to those of its factors
  int64_t bytes = int64_t{4} << 20;  // of a product that is worth a loop
  int64_t block_bytes = 256 << 10;   // of a block of its rows, which the passes over it find in L2
  int64_t least_rows = 32;           // of a block, so that what it shares is read seldom enough
  int64_t band_rows = 64, most_bands = 16;  // of rows that leave out the same hidden columns
};

// An axis that a region is cut along, and where it lies in each value inside: the parts of that
// value's axis are as many as `extent`, in order. Values that have none are those of every part.
struct RegionAxis {
  int64_t extent = 0;
  std::map<Value, int> of = {};
  int at(Value v) const {
    const auto found = of.find(v);
    return found == of.end() ? -1 : found->second;
  }
};

struct RowRegion {
  std::vector<uint32_t> nodes;  // inside, ascending
  std::set<uint32_t> products;  // of them, those that expand their factors, which come from outside
  std::vector<Value> results;   // of inside that are read outside, all of them small
  std::vector<RegionAxis> axes;  // batches first, rows last; a result without the axis is a sum
  RegionAxis columns;            // the products' other axis; extent 0 where it cannot be followed
  int64_t row_bytes = 0;         // of a product, at one place of all axes
};

// What a node of a region reads of an operand: its axis along each of the region's axes and along
// the columns, or -1.
using EdgeAxes = std::vector<int>;
EdgeAxes edge_axes(const Graph& g, const RowRegion& r, uint32_t id, size_t operand);

// A literal, an iota, or what is computed from such alone.
std::vector<bool> source_only(const Graph& g);

// Disjoint in their results; no region reads a result of a later one.
std::vector<RowRegion> find_row_regions(const Graph& g, const RowLimits& limits);

}  // namespace lathe
