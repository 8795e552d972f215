// Elements in another order: permutations with long and short axes, repeats, offsets, every width.
#include "ir/base/gather.h"

#include <doctest/doctest.h>

#include "tests/support/random.h"

namespace lathe {
namespace {

TEST_CASE("gathering is by index, whatever the order of the axes") {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    Dims dims;
    const auto rank = static_cast<size_t>(random.below(5));
    for (size_t i = 0; i < rank; ++i)
      dims.push_back(random.below(4) == 0 ? 33 : 1 + random.below(5));
    const DType types[] = {DType::u8, DType::i16, DType::f32, DType::f64};
    Tensor t = Tensor::empty(types[round % 4], {element_count(dims) + 3});
    for (int64_t i = 0; i < t.size(); ++i) t.set(i, static_cast<double>(i % 251));
    // A permutation of row-major strides; sometimes one axis repeats.
    const Dims plain = row_major_strides(dims);
    std::vector<size_t> order(rank);
    for (size_t i = 0; i < rank; ++i) order[i] = i;
    random.shuffle(order);
    Dims to, strides;
    for (const size_t i : order) to.push_back(dims[i]), strides.push_back(plain[i]);
    if (rank > 0 && random.below(4) == 0) strides[0] = 0;
    const Tensor got = gather_strided(t, to, strides, 3);
    REQUIRE(got.dims() == to);
    const Dims steps = row_major_strides(to);
    for (int64_t e = 0; e < got.size(); ++e) {
      int64_t at = 3;
      for (size_t i = 0; i < rank; ++i) at += e / steps[i] % to[i] * strides[i];
      if (got.at(e) != t.at(at)) FAIL_CHECK("round " << round << " element " << e);
    }
  }
}

}  // namespace
}  // namespace lathe
