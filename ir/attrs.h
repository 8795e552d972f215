// Typed attributes of ops.
//
// Every alternative is a struct with one `fields` function that names its members; equality, hash,
// printing, parsing and dim substitution are derived from it. Axes are never negative here:
// frontends normalise them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "ir/base/hash.h"
#include "ir/base/tensor.h"
#include "ir/type.h"

namespace lathe {

struct NoAttrs {
  template <class S, class F>
  static void fields(S&, F&&) {}
};

// cast, bitcast, and the element type of sources.
struct DTypeAttrs {
  DType dtype = DType::f32;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("dtype", s.dtype);
  }
};

// parameter: the index of the graph input it stands for, and its type.
struct ParameterAttrs {
  int64_t index = 0;
  DType dtype = DType::f32;
  Shape shape;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("index", s.index);
    f("dtype", s.dtype);
    f("shape", s.shape);
  }
};

// constant: a literal of any static shape.
struct ConstantAttrs {
  Tensor value;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("value", s.value);
  }
};

// iota: values 0,1,2.. along `axis`. random_bits uses the shape alone.
struct IotaAttrs {
  DType dtype = DType::i64;
  Shape shape;
  int64_t axis = 0;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("dtype", s.dtype);
    f("shape", s.shape);
    f("axis", s.axis);
  }
};

// reshape: the result's shape.  random_bits: the result's shape.
struct ShapeAttrs {
  Shape shape;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("shape", s.shape);
  }
};

// broadcast: operand axis i becomes result axis `axes[i]` (strictly increasing); where the
// operand's dim is 1 it is repeated.
struct BroadcastAttrs {
  Shape shape;
  Dims axes;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("shape", s.shape);
    f("axes", s.axes);
  }
};

// transpose: result axis i is operand axis perm[i].
struct PermAttrs {
  Dims perm;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("perm", s.perm);
  }
};

// slice: result index j reads operand index start + j*stride, for `size` elements along each axis.
// Negative strides reverse.
struct SliceAttrs {
  std::vector<Dim> start;
  std::vector<Dim> size;
  Dims stride;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("start", s.start);
    f("size", s.size);
    f("stride", s.stride);
  }
};

// pad: `low` and `high` elements of the second operand (a scalar) around each axis and `interior`
// between neighbours. Negative low or high crop; symbolic ones never bind to negative numbers.
struct PadAttrs {
  std::vector<Dim> low, high;
  Dims interior;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("low", s.low);
    f("high", s.high);
    f("interior", s.interior);
  }
};

// concat, gather, scatter_*.
struct AxisAttrs {
  int64_t axis = 0;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("axis", s.axis);
  }
};

// Reductions: `axes` (increasing) disappear from the shape.
struct AxesAttrs {
  Dims axes;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("axes", s.axes);
  }
};

// Cumulative reductions along `axis`.
struct CumulativeAttrs {
  int64_t axis = 0;
  bool reverse = false;
  bool exclusive = false;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("axis", s.axis);
    f("reverse", s.reverse);
    f("exclusive", s.exclusive);
  }
};

// argsort: how many places of each lane, and whether the largest come first.
struct SortAttrs {
  Dim count;
  bool descending = false;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("count", s.count);
    f("descending", s.descending);
  }
};

// dot_general, as in StableHLO: result axes are batch, free of lhs, free of rhs, in operand order.
// Products are accumulated in the result's type (f32 for f16 and bf16), from contracting index 0
// up.
struct DotAttrs {
  Dims lhs_batch = {}, rhs_batch = {}, lhs_contract = {}, rhs_contract = {};
  DType dtype = DType::f32;  // of the result
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("lhs_batch", s.lhs_batch);
    f("rhs_batch", s.rhs_batch);
    f("lhs_contract", s.lhs_contract);
    f("rhs_contract", s.rhs_contract);
    f("dtype", s.dtype);
  }
};

// windows: sliding windows over the last n axes, n = kernel.size(). Operand [.., S1..Sn] gives
// [.., O1..On, K1..Kn] with element operand[.., o*stride + k*dilation - low], `fill` outside;
// O = floor((S + low + high - dilation*(K-1) - 1) / stride) + 1.
// fold, its transpose, sums a [.., O.., K..] operand back into [.., S..] with `size` = S.
struct WindowAttrs {
  Dims kernel, stride, dilation, low, high;
  double fill = 0;
  std::vector<Dim> size = {};  // fold only
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("kernel", s.kernel);
    f("stride", s.stride);
    f("dilation", s.dilation);
    f("low", s.low);
    f("high", s.high);
    f("fill", s.fill);
    f("size", s.size);
  }
};

// scan: operands are [carries.., scanned.., constants..]; the region takes one step's values in the
// same order and returns [carries.., outputs..]; scanned and outputs have a leading axis of
// `length`. reverse runs from the last index to the first, outputs stay at their own index.
struct ScanAttrs {
  int64_t carries = 0, scanned = 0;
  Dim length;
  bool reverse = false;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("carries", s.carries);
    f("scanned", s.scanned);
    f("length", s.length);
    f("reverse", s.reverse);
  }
};

// while: operands are [carries.., constants..]; region 0 gives the condition, region 1 the carries.
struct WhileAttrs {
  int64_t carries = 0;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("carries", s.carries);
  }
};

// composite: the region's name, such as "softmax" or "lstm".
struct CompositeAttrs {
  std::string name;
  template <class S, class F>
  static void fields(S& s, F&& f) {
    f("name", s.name);
  }
};

using Attrs = std::variant<NoAttrs, DTypeAttrs, ParameterAttrs, ConstantAttrs, IotaAttrs,
                           ShapeAttrs, BroadcastAttrs, PermAttrs, SliceAttrs, PadAttrs, AxisAttrs,
                           AxesAttrs, CumulativeAttrs, SortAttrs, DotAttrs, WindowAttrs, ScanAttrs,
                           WhileAttrs, CompositeAttrs>;

bool operator==(const Attrs& a, const Attrs& b);
void hash_attrs(const Attrs& a, Hasher& h);
Attrs bind_attrs(const Attrs& a, const DimBinding& binding);

}  // namespace lathe
