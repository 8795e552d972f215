// Casts as graph formulas against casts of contents, for the element types that are only stored,
// and bits read as another type.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "backends/compile.h"
#include "frontend/onnx/convert.h"
#include "frontend/onnx/stored.h"
#include "tests/support/expect_error.h"
#include "tests/support/onnx_node.h"

namespace lathe::onnx {
namespace {

constexpr ElemType kSmallFloats[] = {ElemType::Float8E4M3FN, ElemType::Float8E4M3FNUZ,
                                     ElemType::Float8E5M2,   ElemType::Float8E5M2FNUZ,
                                     ElemType::Float4E2M1,   ElemType::Float8E8M0};

// Floats around every value of every small format and between them, special ones, and bits at
// random.
Tensor interesting_floats() {
  std::vector<float> all = {0.0F, -0.0F, INFINITY, -INFINITY, NAN, 0x1p-149F, 0x1.fffffep127F};
  for (const ElemType t : kSmallFloats)
    for (int i = 0; i < 1 << info(t).bits; ++i) {
      const float a = small_float_value(t, static_cast<uint8_t>(i));
      const float b = small_float_value(t, static_cast<uint8_t>((i + 1) % (1 << info(t).bits)));
      for (const float v : {a, a / 2 + b / 2})
        for (const float w : {v, std::nextafter(v, INFINITY), std::nextafter(v, -INFINITY)})
          all.push_back(w);
    }
  uint32_t bits = 1;
  for (int i = 0; i < 4096; ++i) {
    bits = bits * 1664525U + 1013904223U;
    float v = 0;
    std::memcpy(&v, &bits, sizeof(v));
    all.push_back(v);
  }
  return Tensor::from<float>({std::ssize(all)}, all);
}

// f of x, by the interpreter of kernels, which all backends agree with.
template <class F>
Tensor computed(const Tensor& x, F&& f) {
  Graph g;
  const Expr in = input(g, "x", {x.dtype(), Shape(x.dims())});
  g.add_output("y", f(in).value);
  return compile(g, simd().compile)->run({x}).front();
}

// Equal as numbers, with the sign of zeros; NaN is NaN.
bool same_number(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

void check_same(const Tensor& x, const Tensor& got, const Tensor& wanted) {
  REQUIRE(got.dtype() == wanted.dtype());
  REQUIRE(got.size() == wanted.size());
  for (int64_t i = 0; i < got.size(); ++i) {
    INFO(x.at(i), ": ", got.at(i), " instead of ", wanted.at(i));
    REQUIRE(same_number(got.at(i), wanted.at(i)));
  }
}

TEST_CASE("casts to small floats in a graph are those of contents") {
  const Tensor x = interesting_floats();
  for (const ElemType to : kSmallFloats)
    for (const bool saturate : {true, false})
      for (const PowerRounding round :
           {PowerRounding::Up, PowerRounding::Down, PowerRounding::Nearest}) {
        CAPTURE(name(to));
        CAPTURE(saturate);
        const CastRules rules{saturate, round};
        check_same(x, computed(x, [&](const Expr& e) { return cast_to_elem(e, to, rules); }),
                   convert(HostTensor(x), to, rules).numbers);
      }
}

TEST_CASE("casts to small integers in a graph are those of contents") {
  std::vector<int64_t> values;
  for (int64_t v = -300; v <= 300; ++v) values.push_back(v);
  const Tensor whole = Tensor::from<int64_t>({std::ssize(values)}, values);
  std::vector<float> fractions;
  for (const int64_t v : values) fractions.push_back(static_cast<float>(v) / 8);
  const Tensor real = Tensor::from<float>({std::ssize(fractions)}, fractions);
  for (const ElemType to : {ElemType::UInt4, ElemType::Int4, ElemType::UInt2, ElemType::Int2})
    for (const Tensor& x : {whole, real}) {
      CAPTURE(name(to));
      check_same(x, computed(x, [&](const Expr& e) { return cast_to_elem(e, to); }),
                 convert(HostTensor(x), to, {}).numbers);
    }
}

Tensor every_pattern(DType type) {
  const int64_t n = int64_t{1} << (8 * byte_size(type));
  Tensor t = Tensor::empty(type, {n});
  for (int64_t i = 0; i < n; ++i) t.set_int(i, i);
  return t;
}

Tensor bit_cast_model(const Tensor& x, ElemType from, std::initializer_list<ElemType> through) {
  GraphBuilder g;
  g.input("0", from, x.dims());
  int k = 0;
  for (const ElemType to : through) {
    g.node(node_message("BitCast", {std::to_string(k)}, {std::to_string(k + 1)},
                        {int_attribute("to", static_cast<int64_t>(to))}));
    ++k;
  }
  g.output(std::to_string(k));
  Session session(parse(model_message(g.m, 26)), simd());
  return session.run({{"0", Value::of(HostTensor(from, x))}}).front().known.numbers;
}

TEST_CASE("every 16-bit pattern goes through f16 and bf16 and back") {
  const Tensor x = every_pattern(DType::u16);
  for (const ElemType t : {ElemType::Float16, ElemType::BFloat16}) {
    CAPTURE(name(t));
    const Tensor value = bit_cast_model(x, ElemType::UInt16, {t});
    const Tensor back = bit_cast_model(x, ElemType::UInt16, {t, ElemType::Int16, ElemType::UInt16});
    for (int64_t i = 0; i < x.size(); ++i) {
      const auto bits = static_cast<uint16_t>(i);
      const double wanted =
          static_cast<double>(t == ElemType::Float16 ? f16_to_float(bits) : bf16_to_float(bits));
      INFO(i, " is ", value.at(i), " instead of ", wanted);
      REQUIRE(same_number(value.at(i), wanted));
      if (!std::isnan(wanted)) REQUIRE(back.int_at(i) == i);
    }
  }
}

TEST_CASE("every 8-bit pattern goes through the small floats and back") {
  const Tensor x = every_pattern(DType::u8);
  for (const ElemType t : kSmallFloats) {
    if (info(t).bits != 8) continue;
    CAPTURE(name(t));
    const Tensor value = bit_cast_model(x, ElemType::UInt8, {t});
    const Tensor back = bit_cast_model(x, ElemType::UInt8, {t, ElemType::UInt8});
    for (int64_t i = 0; i < x.size(); ++i) {
      const float wanted = small_float_value(t, static_cast<uint8_t>(i));
      INFO(i, " is ", value.at(i), " instead of ", wanted);
      REQUIRE(same_number(value.at(i), static_cast<double>(wanted)));
      if (!std::isnan(wanted)) REQUIRE(back.int_at(i) == i);
    }
  }
}

TEST_CASE("types of different widths are refused") {
  expect_error(
      [] { bit_cast_model(every_pattern(DType::u8), ElemType::UInt8, {ElemType::Float16}); },
      {"BitCast", "8 bits of uint8", "float16"});
}

}  // namespace
}  // namespace lathe::onnx
