// Sums that loops carry take one place, and keep their bits on every backend.
#include "passes/carry_in_place.h"

#include <doctest/doctest.h>

#include "ir/expr.h"
#include "passes/pipeline.h"
#include "runtime/cpu.h"
#include "tests/support/fill.h"
#include "tests/support/ladder.h"

namespace lathe {
namespace {

constexpr int64_t kRows = 33, kColumns = 40;

// The next carry, from the last one and this iteration's rows [8, kRows] and [8, kColumns].
using Next = Expr (*)(const Expr& carry, const Expr& a, const Expr& b);

Graph loop(int64_t length, Next next) {
  Graph g("loop");
  const auto stack = [&](const char* name, int64_t size) {
    return input(g, name, {DType::f32, Shape{length, 8, size}});
  };
  const Expr start = input(g, "start", {DType::f32, Shape{kRows, kColumns}});
  const Expr a = stack("a", kRows), b = stack("b", kColumns);
  auto step = std::make_shared<Graph>("step");
  const Expr carry = input(*step, "carry", start.type());
  const Expr of_a = input(*step, "a", {DType::f32, Shape{8, kRows}});
  const Expr of_b = input(*step, "b", {DType::f32, Shape{8, kColumns}});
  step->add_output("next", next(carry, of_a, of_b).value);
  g.add_output("last", scan(g, step, {start}, {a, b}, {}, length)[0].value);
  return g;
}

Expr product(const Expr& a, const Expr& b) {
  return dot_general(a, b, {.lhs_contract = {0}, .rhs_contract = {0}});
}

Expr add_product(const Expr& carry, const Expr& a, const Expr& b) { return carry + product(a, b); }

// The last carry is read before its place is written.
Expr add_scaled(const Expr& carry, const Expr& a, const Expr& b) {
  const Expr most = reduce_max(carry, {0, 1});
  return carry + product(a, b) * broadcast_to(most, carry.shape());
}

// Elements need others of the last carry.
Expr add_reversed(const Expr& carry, const Expr& a, const Expr& b) {
  return reverse(carry, 0) + product(a, b);
}

int64_t carry_bytes(const Graph& g) {
  int64_t bytes = 0;
  for (const Buffer& b : compile_to_program(g, detect_cpu().target).plan.buffers)
    if (b.name == "carry") bytes += b.bytes;
  return bytes;
}

constexpr int64_t kSlot = (kRows * kColumns * 4 + 63) / 64 * 64;

void check_bits(const Graph& g, int64_t length) {
  const std::vector<Tensor> inputs = {small_noise({kRows, kColumns}, 1),
                                      small_noise({length, 8, kRows}, 2),
                                      small_noise({length, 8, kColumns}, 3)};
  CHECK(climb_ladder(g, inputs, 1e-4) == "");
}

TEST_CASE("a sum of products is carried in one place") {
  for (const Next next : {add_product, add_scaled})
    for (const int64_t length : {1, 2, 5}) {
      CAPTURE(length);
      const Graph g = loop(length, next);
      CHECK(carry_bytes(g) == kSlot);
      check_bits(g, length);
    }
}

TEST_CASE("a carry of which elements need others keeps two places") {
  for (const int64_t length : {2, 3}) {
    CAPTURE(length);
    const Graph g = loop(length, add_reversed);
    CHECK(carry_bytes(g) == 2 * kSlot);
    check_bits(g, length);
  }
}

}  // namespace
}  // namespace lathe
