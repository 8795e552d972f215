#include "ir/kernel_verify.h"

#include <doctest/doctest.h>

#include <functional>

#include "ir/kernel_bounds.h"
#include "ir/kernel_text.h"

using namespace lathe;

namespace {

constexpr std::string_view kReduce =
    R"(kernel reduce { a0 = in f32[12] a1 = in f16[4] a2 = out f32[4]
  par 4 red 3  d0 = (r0 + 1) / 2  g0 = 0 <= p0 < 4
  %0 = load f32 a0[3*p0 + r0]  %1 = exp f32 %0
  fold add f32 %1
  then
  %2 = acc f32 0  %3 = load f16 a1[p0] if g0  %4 = add f32 %2, %3
  store a2[p0] = %4 })";

constexpr std::string_view kGather = R"(kernel map { a0 = in i32[5] a1 = in f32[6] a2 = inout f32[5]
  par 5  %0 = load i32 a0[p0]  %1 = const i32 0  %2 = max i32 %0, %1  %3 = const i32 5
  %4 = min i32 %2, %3  %5 = load f32 a1[%4]  %6 = load f32 a2[p0]  %7 = add f32 %5, %6
  store a2[p0] = %7 })";

Kernel parsed(std::string_view text) {
  Result<Kernel> k = parse_kernel(text);
  REQUIRE_MESSAGE(k.ok(), k.error());
  return *std::move(k);
}

// Breaks a good kernel in one way; the verifier must name the invariant.
void rejects(int invariant, std::string_view text, const std::function<void(Kernel&)>& breakage,
             KernelStage stage = KernelStage::Lowered) {
  Kernel k = parsed(text);
  const Result<bool> before = verify_kernel(k, KernelStage::Lowered);
  REQUIRE_MESSAGE(before.ok(), before.error());
  breakage(k);
  const Result<bool> after = verify_kernel(k, stage);
  REQUIRE_FALSE(after.ok());
  CHECK_MESSAGE(after.error().rfind(fmt::format("[kernel-{}]", invariant), 0) == 0, after.error());
}

std::pair<int64_t, int64_t> bounds(std::string_view space, const IndexExpr& e,
                                   std::vector<GuardId> guards = {}) {
  const Kernel k =
      parsed("kernel map { a0 = out f32[1] " + std::string(space) + " %0 = const f32 1 }");
  const Interval i = IndexBounds(k, guards).of(e);
  return {static_cast<int64_t>(i.lo), static_cast<int64_t>(i.hi)};
}

}  // namespace

TEST_CASE("sizes that could overflow are rejected") {
  rejects(1, kReduce, [](Kernel& k) { k.par[0] = -1; });
  rejects(1, kReduce, [](Kernel& k) { k.par.assign(3, int64_t{1} << 40); });
  rejects(1, kReduce, [](Kernel& k) { k.operands[0].size = INT64_MAX; });
  rejects(1, kReduce, [](Kernel& k) { k.body[0].access.offset.constant = INT64_MIN; });
  rejects(1, kReduce, [](Kernel& k) { k.guards.resize(65); });
}

TEST_CASE("index expressions use existing symbols, sorted") {
  rejects(2, kReduce, [](Kernel& k) { k.body[0].access.offset.terms[1].symbol = 3; });
  rejects(2, kReduce, [](Kernel& k) { k.derived[0].numerator = IndexExpr::symbol(2); });
  rejects(2, kReduce, [](Kernel& k) { k.derived[0].divisor = 0; });
  rejects(2, kReduce, [](Kernel& k) { k.guards[0].multiple_of = 0; });
  rejects(2, kReduce, [](Kernel& k) { k.body[3].guards = {1}; });
  rejects(2, kReduce, [](Kernel& k) { k.body[0].access.offset.terms[0].coefficient = 0; });
  rejects(2, kReduce, [](Kernel& k) {
    std::swap(k.body[0].access.offset.terms[0], k.body[0].access.offset.terms[1]);
  });
}

TEST_CASE("scalars take earlier scalars, as many as they have operands") {
  rejects(3, kReduce, [](Kernel& k) { k.body[1].args[0] = 1; });
  rejects(3, kReduce, [](Kernel& k) { k.body[1].args[1] = 0; });
  rejects(3, kReduce, [](Kernel& k) { k.body[1].args[0] = -1; });
  rejects(3, kGather, [](Kernel& k) { k.body[5].access.indirect[0].value = 5; });
}

TEST_CASE("types fit the scalar") {
  rejects(4, kReduce, [](Kernel& k) { k.body[0].type = DType::f64; });
  rejects(4, kReduce, [](Kernel& k) { k.body[4].type = DType::f16; });
  rejects(4, kReduce, [](Kernel& k) { k.body[4].op = Scalar::And; });
  rejects(4, kReduce,
          [](Kernel& k) { k.body[1].op = Scalar::Bitcast, k.body[1].type = DType::i64; });
  rejects(4, kGather, [](Kernel& k) { k.body[4].args[0] = 0, k.body[3].type = DType::i64; });
  rejects(4, kGather, [](Kernel& k) { k.body[1].type = DType::u8, k.body[1].integer = 256; });
  rejects(4, kGather, [](Kernel& k) {
    k.body[4] = k.body[3], k.body[4].integer = 0, k.body[4].type = DType::f32;
  });
}

TEST_CASE("a scalar carries nothing that means nothing to it") {
  rejects(5, kReduce, [](Kernel& k) { k.body[1].number = 1; });
  rejects(5, kReduce, [](Kernel& k) { k.body[1].integer = 1; });
  rejects(5, kReduce, [](Kernel& k) { k.body[1].index = IndexExpr(1); });
  rejects(5, kReduce, [](Kernel& k) { k.body[1].access.operand = 1; });
  rejects(5, kReduce, [](Kernel& k) { k.body[1].guards = {0}; });
}

TEST_CASE("the core and its parts fit") {
  rejects(6, kReduce, [](Kernel& k) { k.core = Core::Map; });
  rejects(6, kReduce, [](Kernel& k) { k.core = Core::Scatter; });
  rejects(6, kReduce, [](Kernel& k) { k.reductions.clear(); });
  rejects(6, kReduce, [](Kernel& k) { k.exclusive = true; });
  rejects(6, kReduce, [](Kernel& k) { k.pre = 99; });
  rejects(6, kGather, [](Kernel& k) { k.order = Order::Lanes; });
  rejects(6, kGather, [](Kernel& k) { k.pre = 1; });
  rejects(6, kGather, [](Kernel& k) { k.core = Core::Scatter; });
}

TEST_CASE("accumulators are read after the reduction, with their type") {
  rejects(7, kReduce, [](Kernel& k) { k.body[2].integer = 1; });
  rejects(7, kReduce, [](Kernel& k) { k.body[2].type = DType::f64; });
  rejects(7, kReduce, [](Kernel& k) { k.pre = 3; });
}

TEST_CASE("what follows a reduction does not depend on its points") {
  rejects(8, kReduce, [](Kernel& k) { k.body[4].args[0] = 0; });
  rejects(8, kReduce, [](Kernel& k) { k.body[3].access.offset = IndexExpr::symbol(1); });
  rejects(8, kReduce, [](Kernel& k) { k.body[3].access.offset = IndexExpr::symbol(2); });
  rejects(8, kReduce, [](Kernel& k) { k.guards[0].index = IndexExpr::symbol(2); });
  rejects(8, kReduce, [](Kernel& k) { k.stores[0].value = 1; });
  rejects(8, kReduce, [](Kernel& k) { k.stores[0].access.offset = IndexExpr::symbol(2); });
}

TEST_CASE("reductions fold values of the first part") {
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].a = 2; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].a = -1; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].b = 0; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].combine = Combine::Fma; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].combine = Combine::FmaFlush; });
  rejects(9, kReduce, [](Kernel& k) {
    k.reductions[0] = {Combine::FmaFlush, DType::f32, 0, 0};
    k.order = Order::Lanes;
  });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].padded = true; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0] = {Combine::Fma, DType::f32, 0, 0, true}; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].combine = Combine::Assign; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions[0].combine = Combine::And; });
  rejects(9, kReduce, [](Kernel& k) { k.reductions.push_back({Combine::Add, DType::f16, 0, -1}); });
  rejects(9, kReduce, [](Kernel& k) { k.reductions.push_back({Combine::Add, DType::f64, 0, -1}); });
}

TEST_CASE("stores have values of their operand's type and combine only in scatters") {
  rejects(10, kReduce, [](Kernel& k) { k.stores.clear(); });
  rejects(10, kReduce, [](Kernel& k) { k.stores[0].value = 5; });
  rejects(10, kReduce, [](Kernel& k) { k.operands[2].dtype = DType::f64; });
  rejects(10, kReduce, [](Kernel& k) { k.stores[0].combine = Combine::Add; });
}

TEST_CASE("operands are used as their role allows") {
  rejects(11, kReduce, [](Kernel& k) { k.operands[2].role = OperandRole::In; });
  rejects(11, kReduce, [](Kernel& k) { k.operands[0].role = OperandRole::Out; });
  rejects(11, kReduce, [](Kernel& k) { k.body[0].access.operand = 7; });
  rejects(11, kGather, [](Kernel& k) { k.body[6].access.offset = IndexExpr(0); });
}

TEST_CASE("accesses stay inside their operands") {
  rejects(12, kReduce, [](Kernel& k) { k.operands[0].size = 11; });
  rejects(12, kReduce, [](Kernel& k) { k.body[0].access.offset.constant = -1; });
  rejects(12, kReduce, [](Kernel& k) { k.operands[2].size = 3; });
  rejects(12, kGather, [](Kernel& k) { k.body[3].integer = 6; });
  rejects(12, kGather, [](Kernel& k) { k.body[2].args[1] = 0; });
}

TEST_CASE("index expressions that could overflow are rejected") {
  rejects(13, kReduce, [](Kernel& k) {
    k.par[0] = int64_t{1} << 40;
    k.guards[0].index = IndexExpr::symbol(0) * (int64_t{1} << 48);
  });
}

TEST_CASE("parallel points never store to one element") {
  rejects(14, kReduce, [](Kernel& k) { k.stores[0].access.offset = IndexExpr(0); });
}

TEST_CASE("expanded kernels hold machine scalars only") {
  rejects(15, kReduce, [](Kernel&) {}, KernelStage::Expanded);
}

TEST_CASE("a schedule names ivs that exist") {
  const Kernel k = parsed(kReduce);
  CHECK(verify_schedule(k, {.parallel = 0, .vector = 1}).ok());
  CHECK_FALSE(verify_schedule(k, {.parallel = 1}).ok());
  CHECK_FALSE(verify_schedule(k, {.grain = 0}).ok());
  CHECK_FALSE(verify_schedule(k, {.vector = 2}).ok());
  CHECK_FALSE(verify_schedule(k, {.tile_m = -1}).ok());
}

TEST_CASE("bounds follow i mod 4, merged axes and guards exactly") {
  const IndexExpr p0 = IndexExpr::symbol(0), p1 = IndexExpr::symbol(1), d = IndexExpr::symbol(1);
  using Pair = std::pair<int64_t, int64_t>;
  CHECK(bounds("par 10", p0 * -3 + IndexExpr(5)) == Pair(-22, 5));
  CHECK(bounds("par 10 d0 = (p0) / 4", p0 + d * -4) == Pair(0, 3));
  // A transposed view of a merged pair of axes: 3*(i mod 4) + floor(i / 4).
  CHECK(bounds("par 12 d0 = (p0) / 4", (p0 + d * -4) * 3 + d) == Pair(0, 11));
  // A padded convolution row: 2*p + q - 1 limited to [0, 9).
  CHECK(bounds("par 5 3 g0 = 0 <= 2*p0 + p1 - 1 < 9", (p0 * 2 + p1 + IndexExpr(-1)) * 7, {0}) ==
        Pair(0, 56));
  CHECK(bounds("par 7 d0 = (p0 - 1) / 2 g0 = 0 <= p0 - 1 < 6 multiple of 2", d, {0}) == Pair(0, 2));
}
