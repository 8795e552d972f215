// Programs of one model keep its literals once.
#include "runtime/shared_literals.h"

#include <doctest/doctest.h>

using namespace lathe;

namespace {

Plan plan_with(float first, int64_t size) {
  Plan p;
  p.constants = {Tensor::zeros(DType::f32, {size})};
  p.constants[0].mutable_data<float>()[0] = first;
  return p;
}

const void* literal(const Plan& p) { return p.constants[0].raw(); }

}  // namespace

TEST_CASE("equal literals share their bytes, others do not") {
  SharedLiterals shared;
  Plan a = plan_with(1, 5000), b = plan_with(1, 5000), c = plan_with(2, 5000);
  shared.share(a);
  const void* before = literal(a);
  shared.share(b);
  shared.share(c);
  CHECK(literal(a) == before);
  CHECK(literal(b) == before);
  CHECK(literal(c) != before);
  CHECK(c.constants[0].at(0) == 2);
}

TEST_CASE("a difference that the sample misses is seen") {
  SharedLiterals shared;
  Plan a = plan_with(1, 100'000), b = plan_with(1, 100'000);
  b.constants[0].mutable_data<float>()[3] = 1;
  shared.share(a);
  shared.share(b);
  CHECK(literal(a) != literal(b));
  CHECK(b.constants[0].at(3) == 1);
}

TEST_CASE("what was forgotten lives with its plan and is not shared again") {
  SharedLiterals shared;
  Plan a = plan_with(1, 5000), b = plan_with(1, 5000);
  shared.share(a);
  shared.forget();
  shared.share(b);
  CHECK(literal(a) != literal(b));
  CHECK(a.constants[0].at(0) == 1);
}

TEST_CASE("small literals stay as they are") {
  SharedLiterals shared;
  Plan a = plan_with(1, 16), b = plan_with(1, 16);
  shared.share(a);
  shared.share(b);
  CHECK(literal(a) != literal(b));
}
