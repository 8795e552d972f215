// What the emitted code looks like: instructions that decide speed, and what must not be there.
#include <doctest/doctest.h>

#include "backends/llvm_module.h"
#include "passes/kernel_passes.h"
#include "tests/support/bf16_kernel.h"
#include "tests/support/byte_kernel.h"
#include "tests/support/convolution_kernel.h"
#include "tests/support/gemm_kernel.h"

using namespace lathe;

namespace {

// Assembly of one kernel; empty, with a message, where there is no LLVM backend.
std::string assembly(const Kernel& k, const KernelSchedule& s, const Target& target) {
  auto backend = LlvmBackend::open();
  if (!backend) {
    MESSAGE("skipped: " << backend.error());
    return {};
  }
  const KernelJob job{&k, s, "kernel"};
  const auto text = (*backend)->emit({&job, 1}, target, EmitKind::assembly);
  REQUIRE_MESSAGE(text.ok(), text.error());
  return *text;
}

std::string assembly(const Kernel& k, const KernelSchedule& s, Isa isa) {
  return assembly(k, s, Target{.isa = isa});
}

// The text of a function, from its label to its end.
std::string function(const std::string& text, const std::string& name) {
  const size_t begin = text.find("\n" + name + ":");
  REQUIRE_MESSAGE(begin != std::string::npos, "no function " << name);
  return text.substr(begin, text.find(".Lfunc_end", begin) - begin);
}

// Its first loop: from the label that a backward jump names to that jump.
std::string first_loop(const std::string& function) {
  for (size_t jump = function.find("\tjl\t"); jump != std::string::npos;
       jump = function.find("\tjl\t", jump + 1)) {
    const std::string label = function.substr(jump + 4, function.find('\n', jump) - jump - 4);
    const size_t begin = function.find("\n" + label + ":");
    if (begin < jump) return function.substr(begin, jump - begin);
  }
  return {};
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

void check_tile(Isa isa, const std::string& tile, const std::string& registers, size_t fmas) {
  const Kernel k = gemm_kernel({.m = 96, .n = 512, .k = 256, .epilogue = 1});
  const std::string text = assembly(k, {.parallel = 0, .grain = 96, .vector = 1}, isa);
  if (text.empty()) return;
  const std::string loop = first_loop(function(text, "kernel.tile" + tile));
  CAPTURE(loop);
  CHECK(count(loop, "vfmadd") == fmas);
  CHECK(count(loop, registers) > 0);
  CHECK(count(loop, "(%rsp") == 0);
  CHECK(count(loop, "(%rbp") == 0);
  CHECK(count(text, "@PLT") == 0);
}

}  // namespace

TEST_CASE("the inner loop of a product on AVX2 is fused multiply-adds without spills") {
  check_tile(Isa::avx2, "6x16", "%ymm", 4 * 12);
}

TEST_CASE("the inner loop of a product on AVX-512 is fused multiply-adds without spills") {
  check_tile(Isa::avx512, "8x32", "%zmm", 4 * 16);
}

TEST_CASE("eight columns are half a vector, in tall tiles") {
  const Kernel k = gemm_kernel({.m = 25, .n = 40, .k = 132, .epilogue = 1});
  const std::string text = assembly(k, {.vector = 1}, Isa::avx512);
  if (text.empty()) return;
  const std::string loop = first_loop(function(text, "kernel.tile13x8"));
  CAPTURE(loop);
  CHECK(count(loop, "vfmadd231ps\t") == 4 * 13);
  CHECK(count(loop, "{1to8}") == 4 * 13);
  CHECK(count(loop, "%zmm") == 0);
  CHECK(count(loop, "(%rsp") == 0);
}

TEST_CASE("four rows in lanes share the vector that they are multiplied with, without spills") {
  Kernel k = gemm_kernel({.m = 64, .n = 1, .k = 1024, .b_transposed = true, .epilogue = 1});
  k.order = Order::Lanes;
  const std::string text = assembly(k, {.parallel = 0, .grain = 32, .vector = 2}, Isa::avx512);
  if (text.empty()) return;
  const std::string loop = first_loop(function(text, "kernel"));
  CAPTURE(loop);
  CHECK(count(loop, "vfmadd231ps\t") == 4 * 2);
  CHECK(count(loop, "vmovups") == 2);
  CHECK(count(loop, "(%rsp") == 0);
}

TEST_CASE("a row times a matrix in memory takes eight steps of all columns at a time") {
  const Kernel k = gemm_kernel({.m = 1, .n = 4096, .k = 512});
  const std::string text = assembly(k, {.parallel = 1, .grain = 2048, .vector = 1}, Isa::avx512);
  if (text.empty()) return;
  const std::string tile = function(text, "kernel.tile1x64");
  CAPTURE(tile);
  CHECK(count(tile, "vfmadd231ps\t") + count(tile, "vfmadd213ps\t") == 8 * 4);
  CHECK(count(tile, "%zmm") > 0);
  CHECK(count(tile, "(%rsp") == 0);
}

TEST_CASE("columns of a depthwise convolution share the weights of a tap, without spills") {
  const Kernel k = depthwise_kernel({.height = 14, .width = 14, .channels = 96});
  const std::string text = assembly(k, {.parallel = 0, .grain = 14, .vector = 2}, Isa::avx512);
  if (text.empty()) return;
  const std::string loop = first_loop(function(text, "kernel"));
  CAPTURE(loop);
  CHECK(count(loop, "vfmadd231ps\t") == 7 * 3);
  CHECK(count(loop, "vmovups") == 3);  // the image is read by the multiply-adds
  CHECK(count(loop, "cmov") <= 2 * 7);
  CHECK(count(loop, "(%rsp") == 0);
}

TEST_CASE("inside an image a convolution chooses no pointers and keeps nothing for the next tap") {
  const Kernel k =
      image_kernel({.channels = 3, .size = 56, .filters = 32, .window = 7, .stride = 2});
  const std::string text = assembly(k, {.parallel = 0, .grain = 28, .vector = 2}, Isa::avx512);
  if (text.empty()) return;
  const std::string loop = first_loop(function(text, "kernel.tile7x32.inside"));
  CAPTURE(loop);
  CHECK(count(loop, "vfmadd231ps") == 7 * 7 * 2);
  CHECK(count(loop, "cmov") == 0);
  CHECK(count(loop, "zmm") > 0);
  CHECK(count(loop, "(%rsp") == 0);
}

TEST_CASE("the inner loop of a product of bytes takes a group of steps at once, without spills") {
  struct Row {
    Target target;
    int64_t group;
    const char *tile, *instruction, *registers;
    size_t count;
  };
  for (const Row& row : {Row{{.isa = Isa::avx512, .vnni = true}, 4, "8x32", "vpdpbusd", "%zmm", 64},
                         Row{{.isa = Isa::avx512}, 2, "8x32", "vpmaddwd", "%zmm", 16},
                         Row{{.isa = Isa::avx2}, 2, "5x16", "vpmaddwd", "%ymm", 10},
                         Row{{.isa = Isa::sse42}, 2, "4x8", "pmaddwd", "%xmm", 8}}) {
    const Kernel k = byte_kernel({.m = 96, .n = 512, .k = 256, .group = row.group});
    const std::string text = assembly(k, {.parallel = 0, .grain = 96, .vector = 1}, row.target);
    if (text.empty()) return;
    const std::string loop = first_loop(function(text, std::string("kernel.tile") + row.tile));
    CAPTURE(loop);
    CHECK(count(loop, row.instruction) == row.count);
    CHECK(count(loop, row.registers) > 0);
    CHECK(count(loop, "(%rsp") == 0);
    CHECK(count(loop, "(%rbp") == 0);
    CHECK(count(text, "@PLT") == 0);
  }
}

TEST_CASE("the inner loop of a product of bf16 takes pairs of steps, without spills") {
  const Kernel k = bf16_kernel({.m = 96, .n = 512, .k = 256, .interleaved = true});
  const std::string text =
      assembly(k, {.parallel = 0, .grain = 96, .vector = 1}, {.isa = Isa::avx512, .bf16 = true});
  if (text.empty()) return;
  const std::string loop = first_loop(function(text, "kernel.tile8x32"));
  CAPTURE(loop);
  CHECK(count(loop, "vdpbf16ps") == 4 * 16);
  CHECK(count(loop, "%zmm") > 0);
  CHECK(count(loop, "(%rsp") == 0);
  CHECK(count(loop, "(%rbp") == 0);
  CHECK(count(text, "@PLT") == 0);
}

// Several vectors at a time hide the latency of a chain of multiply-adds; what a vector leaves on
// its way must not go through the stack.
TEST_CASE("a long body runs over as many vectors as its values have registers") {
  Kernel k;
  k.operands = {{DType::f32, 4096, OperandRole::In}, {DType::f32, 4096, OperandRole::Out}};
  k.par = {4096};
  const auto i = IndexExpr::symbol(0);
  k.body.resize(2);
  k.body[0].op = Scalar::Load, k.body[0].access = {0, i, {}};
  k.body[1].op = Scalar::Erf, k.body[1].args = {0, -1, -1};
  k.stores = {{{1, i, {}}, 1, Combine::Assign}};
  expand_math(k);
  for (const auto& [isa, vectors] : {std::pair{Isa::avx2, 2}, {Isa::avx512, 4}}) {
    const std::string text = assembly(k, {.vector = 0}, isa);
    if (text.empty()) return;
    const std::string loop = first_loop(function(text, "kernel"));
    CAPTURE(loop);
    CHECK(count(loop, "vminps") == vectors);
    if (isa == Isa::avx512) CHECK(count(loop, "(%rsp)\n") == 0);
  }
}

TEST_CASE("a map fetches ahead of the operand that its schedule names, else nothing") {
  Kernel k;
  k.operands = {{DType::f32, 4096, OperandRole::In},
                {DType::f32, 4096, OperandRole::In},
                {DType::f32, 4096, OperandRole::Out}};
  k.par = {4096};
  const auto i = IndexExpr::symbol(0);
  k.body.resize(3);
  for (const int32_t a : {0, 1})
    k.body[static_cast<size_t>(a)].op = Scalar::Load,
    k.body[static_cast<size_t>(a)].access = {a, i, {}};
  k.body[2].op = Scalar::Add, k.body[2].args = {0, 1, -1};
  k.stores = {{{2, i, {}}, 2, Combine::Assign}};
  for (const Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512}) {
    const std::string plain = assembly(k, {.vector = 0}, isa);
    if (plain.empty()) return;
    CHECK(count(plain, "prefetch") == 0);
    const std::string text = assembly(k, {.vector = 0, .fetch = 1, .ahead = 16384}, isa);
    const std::string loop = first_loop(function(text, "kernel"));
    CAPTURE(loop);
    CHECK(count(loop, "prefetcht0\t16384(") == 1);
    CHECK(count(loop, "prefetcht0") == 4);
  }
}

TEST_CASE("floats become integers a vector at a time") {
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    for (const DType to : {DType::i8, DType::u8, DType::i16, DType::u16, DType::i32}) {
      Kernel k;
      k.operands = {{DType::f32, 4096, OperandRole::In}, {to, 4096, OperandRole::Out}};
      k.par = {4096};
      const auto i = IndexExpr::symbol(0);
      k.body.resize(2);
      k.body[0].op = Scalar::Load, k.body[0].access = {0, i, {}};
      k.body[1].op = Scalar::Cast, k.body[1].type = to, k.body[1].args = {0, -1, -1};
      k.stores = {{{1, i, {}}, 1, Combine::Assign}};
      const std::string text = assembly(k, {.vector = 0}, isa);
      if (text.empty()) return;
      const std::string loop = first_loop(function(text, "kernel"));
      CAPTURE(loop);
      CHECK(count(loop, "vcvttps2dq") > 0);
      CHECK(count(loop, "vcvttss2si") == 0);
    }
}

TEST_CASE("rounding, remainders and conversions call no library") {
  for (const Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512}) {
    Kernel k;
    k.operands = {{DType::f32, 100, OperandRole::In},
                  {DType::f16, 100, OperandRole::In},
                  {DType::i64, 100, OperandRole::Out},
                  {DType::f16, 100, OperandRole::Out}};
    k.par = {100};
    const auto i = IndexExpr::symbol(0);
    const auto add = [&](Scalar op, DType t, ScalarId a = -1, ScalarId b = -1) {
      Instr in;
      in.op = op, in.type = t, in.args = {a, b, -1};
      k.body.push_back(in);
      return static_cast<ScalarId>(k.body.size()) - 1;
    };
    const ScalarId x = add(Scalar::Load, DType::f32);
    k.body.back().access = {0, i, {}};
    const ScalarId h = add(Scalar::Load, DType::f16);
    k.body.back().access = {1, i, {}};
    const ScalarId y = add(Scalar::Cast, DType::f32, h);
    ScalarId v = add(Scalar::Rem, DType::f32, x, y);
    for (Scalar op : {Scalar::Floor, Scalar::Ceil, Scalar::Trunc, Scalar::RoundEven, Scalar::Sqrt})
      v = add(Scalar::Add, DType::f32, v, add(op, DType::f32, x));
    k.stores = {{{2, i, {}}, add(Scalar::Cast, DType::i64, v), Combine::Assign},
                {{3, i, {}}, add(Scalar::Cast, DType::f16, v), Combine::Assign}};
    const std::string text = assembly(k, {.vector = 0}, isa);
    if (text.empty()) return;
    CHECK(count(text, "@PLT") == 0);
    CHECK(count(text, "@GOTPCREL") == 0);
    CHECK(count(text, "lathe.fmod.f32") > 0);
  }
}
