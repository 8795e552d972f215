// The error bounds of passes/math/, as the case table states them, over the whole range of the
// operands.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "backends/compile.h"
#include "ir/op.h"
#include "ir/scalar.h"
#include "runtime/cpu.h"
#include "tests/support/op_cases.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kRows = 2048;  // of a case: some 75,000 elements

// What distinguishes the two formats of which bounds are stated.
struct Format {
  DType type;
  int digits, least_exponent;  // of the significand; of the least normal number
  double largest;
};
constexpr Format kSingle = {DType::f32, 24, -126, 0x1.fffffep127};
constexpr Format kDouble = {DType::f64, 53, -1022, 0x1.fffffffffffffp1023};

const Format& format_of(DType t) { return t == DType::f32 ? kSingle : kDouble; }

// |got - exact| in units in the last place of the exact value; infinite where one is NaN, where a
// sign is wrong, or where an infinity is no rounding of the other.
double error_in_ulps(const Format& f, double got, long double exact) {
  if (std::isnan(got) || std::isnan(exact))
    return std::isnan(got) && std::isnan(exact) ? 0 : kInfinity;
  if (std::signbit(got) != std::signbit(exact)) return kInfinity;
  // Beyond the largest number the next one would be.
  const long double limit = std::ldexp(1.0L, std::ilogb(f.largest) + 1);
  const long double a = std::min<long double>(std::fabs(exact), limit);
  const long double b = std::isinf(got) ? limit : static_cast<long double>(std::fabs(got));
  const int exponent = a == 0 ? f.least_exponent : std::max(std::ilogb(a), f.least_exponent);
  return static_cast<double>(std::fabs(b - a) / std::ldexp(1.0L, exponent - f.digits + 1));
}

// Fills operand tensors with the next samples; whether there were any.
using Samples = std::function<bool(std::vector<Tensor>&)>;

struct Worst {
  double share = 0;  // of the bound
  double ulps = 0, x = 0, y = 0, got = 0;
};

Worst worst_error(const OpCase& c, const Samples& samples) {
  const Graph g = build_case(c, kRows);
  const TensorType& type = g.inputs()[0].type;
  const Format& format = format_of(type.dtype);
  CompileOptions options;
  options.target = detect_cpu().native;
  options.threads = 1;
  // Without FMA instructions xsimd rounds twice where the bounds count on once.
  options.backend = options.target.has_fma() ? Backend::Simd : Backend::Interpreter;
  const std::unique_ptr<Executable> executable = compile(g, options);
  std::vector<Tensor> in;
  for (size_t k = 0; k < g.inputs().size(); ++k)
    in.push_back(Tensor::empty(type.dtype, type.shape.static_dims()));
  const Accuracy& accuracy = c.accuracy;
  Worst worst;
  while (samples(in)) {
    const Tensor out = executable->run(in)[0];
    for (int64_t i = 0; i < out.size(); ++i) {
      const double x = in[0].at(i), y = in.size() > 1 ? in[1].at(i) : 0;
      if (std::fabs(x) > accuracy.limit) continue;
      const long double exact = accuracy.exact(x, y);
      const double ulps = error_in_ulps(format, out.at(i), exact);
      double bound = type.dtype == DType::f32 ? accuracy.f32 : accuracy.f64;
      if (type.dtype == DType::f64 && exact != 0 && std::isfinite(exact))
        bound += accuracy.f64_growth * static_cast<double>(std::fabs(std::log(std::fabs(exact))));
      if (ulps / bound > worst.share) worst = {ulps / bound, ulps, x, y, out.at(i)};
    }
  }
  return worst;
}

// Every `stride`-th float, of either sign.
Samples all_singles(uint64_t stride) {
  return [stride, next = uint64_t{0}](std::vector<Tensor>& in) mutable {
    if (next >> 32 != 0) return false;
    for (int64_t i = 0; i < in[0].size(); ++i, next += stride)
      in[0].set(i, std::bit_cast<float>(static_cast<uint32_t>(next)));
    return true;
  };
}

// Of any magnitude, and where functions of one operand have their features.
double random_number(DType t, Random& random) {
  switch (random.below(4)) {
    case 0: return random.uniform(-3, 3);
    case 1: return random.uniform(-40, 40);
    case 2: return random.uniform(-1000, 1000);
    default: break;
  }
  if (t == DType::f32) return std::bit_cast<float>(static_cast<uint32_t>(random.next()));
  return std::bit_cast<double>(random.next());
}

Samples random_numbers(int batches) {
  return [batches, random = Random(1)](std::vector<Tensor>& in) mutable {
    if (batches-- == 0) return false;
    for (Tensor& t : in)
      for (int64_t i = 0; i < t.size(); ++i) t.set(i, random_number(t.dtype(), random));
    return true;
  };
}

// Bases of any magnitude with exponents that make powers of any magnitude.
Samples powers(int batches) {
  return [batches, random = Random(2)](std::vector<Tensor>& in) mutable {
    if (batches-- == 0) return false;
    const Format& f = format_of(in[0].dtype());
    const double low = f.least_exponent - f.digits - 2, high = 4 - f.least_exponent;
    for (int64_t i = 0; i < in[0].size(); ++i) {
      in[0].set(i,
                random.percent(50) ? random.uniform(0.5, 2) : std::exp2(random.uniform(low, high)));
      in[1].set(i, random.uniform(low, high) / std::log2(in[0].at(i)));
      if (random.percent(20)) in[1].set(i, std::nearbyint(in[1].at(i)));
      if (random.percent(20)) in[0].set(i, -in[0].at(i));
    }
    return true;
  };
}

// All pairs of numbers where something is special.
Samples special_numbers() {
  return [done = false](std::vector<Tensor>& in) mutable {
    if (done) return false;
    done = true;
    const Format& f = format_of(in[0].dtype());
    std::vector<double> numbers = {0, kInfinity, kNaN, f.largest};
    for (double v : {1.0,   0.5,   1.5,   2.0,   3.0,  0x1.fffffep-1, 0x1.000002p0,
                     4.0,   9.0,   17.0,  20.0,  88.7, 88.8,          103.9,
                     104.0, 710.0, 745.0, 746.0, 1e10, 0x1.fffffep23, 1e30})
      numbers.push_back(v);
    for (int shift : {0, 1, f.digits - 1, f.digits})  // normal, then subnormal
      numbers.push_back(std::ldexp(1.0, f.least_exponent - shift));
    for (size_t k = numbers.size(); k-- > 0;) numbers.push_back(-numbers[k]);
    const auto n = std::ssize(numbers);
    for (int64_t i = 0; i < in[0].size(); ++i) {
      in[0].set(i, numbers[static_cast<size_t>(i % n)]);
      if (in.size() > 1) in[1].set(i, numbers[static_cast<size_t>(i / n % n)]);
    }
    return true;
  };
}

void check_bound(const OpCase& c, const Samples& samples) {
  const Worst w = worst_error(c, samples);
  CHECK_MESSAGE(w.share <= 1,
                fmt::format("{}({:a}, {:a}) = {:a}: {} ulps", c.name, w.x, w.y, w.got, w.ulps));
}

}  // namespace

TEST_CASE("every expanded scalar has an op of its name whose f32 and f64 rows state a bound") {
  for (int i = 0; i < kScalarCount; ++i) {
    if (kScalars[i].cls != ScalarClass::expanded) continue;
    CAPTURE(kScalars[i].name);
    int stated = 0;
    for (const OpCase& c : op_cases())
      stated += op_def(c.op).name == kScalars[i].name && c.accuracy.exact != nullptr;
    CHECK(stated == 2);
  }
}

TEST_CASE("expanded scalars keep their bounds") {
  for (const OpCase& c : op_cases()) {
    if (c.accuracy.exact == nullptr) continue;
    CAPTURE(c.name);
    check_bound(c, special_numbers());
    check_bound(c, random_numbers(10));
    const Graph g = build_case(c);
    if (g.inputs().size() == 2) check_bound(c, powers(20));
    else if (g.inputs()[0].type.dtype == DType::f32) check_bound(c, all_singles(2003));
  }
}

// A minute or two a scalar; prints what the bounds are rounded up from.
TEST_CASE("the largest errors over many more numbers" * doctest::skip()) {
  for (const OpCase& c : op_cases()) {
    if (c.accuracy.exact == nullptr) continue;
    const Graph g = build_case(c);
    const bool all = g.inputs().size() == 1 && g.inputs()[0].type.dtype == DType::f32;
    const Worst w = worst_error(c, g.inputs().size() == 2 ? powers(1000)
                                   : all                  ? all_singles(17)
                                                          : random_numbers(1000));
    MESSAGE(fmt::format("{}: {:.3f} ulps at ({:a}, {:a})", c.name, w.ulps, w.x, w.y));
    CHECK(w.share <= 1);
  }
}

}  // namespace lathe
