// ONNX operators on images that the conformance suite has few or no cases of, against sums written
// out here.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/onnx_node.h"
#include "tests/support/random.h"

namespace lathe::onnx {
namespace {

std::vector<float> random_floats(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> out;
  for (size_t i = 0; i < n; ++i) out.push_back(static_cast<float>(random.uniform(-1, 1)));
  return out;
}

void check_near(const Value& got, const Dims& dims, const std::vector<double>& wanted) {
  REQUIRE(got.dims() == dims);
  const std::vector<double> v = numbers(got);
  for (size_t i = 0; i < wanted.size(); ++i) {
    INFO("element ", i);
    CHECK(v[i] == doctest::Approx(wanted[i]).epsilon(1e-5));
  }
}

// y[o * stride + k * dilation - low] += w[k] * x[o], in one dimension, channels in groups.
std::vector<double> transposed(const std::vector<float>& x, const std::vector<float>& w,
                               int64_t channels, int64_t groups, int64_t outs, int64_t kernel,
                               int64_t stride, int64_t dilation, int64_t low, int64_t size) {
  const int64_t length = std::ssize(x) / channels, per_group = channels / groups;
  std::vector<double> y(static_cast<size_t>(outs * groups * size), 0);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t m = 0; m < outs; ++m)
      for (int64_t o = 0; o < length; ++o)
        for (int64_t k = 0; k < kernel; ++k) {
          const int64_t at = o * stride + k * dilation - low;
          if (at < 0 || at >= size) continue;
          y[static_cast<size_t>((c / per_group * outs + m) * size + at)] +=
              static_cast<double>(w[static_cast<size_t>((c * outs + m) * kernel + k)]) *
              static_cast<double>(x[static_cast<size_t>(c * length + o)]);
        }
  return y;
}

TEST_CASE("a transposed convolution takes groups, dilation, padding and output padding") {
  const auto x = random_floats(4 * 5, 1), w = random_floats(4 * 3 * 2, 2);
  for (const int64_t extra : {0, 1, 2}) {
    CAPTURE(extra);
    const int64_t size = 4 * 3 + extra + 3 - 1 - 2;
    const auto got = run_node("ConvTranspose", {floats({1, 4, 5}, x), floats({4, 3, 2}, w)},
                              {ints_attribute("strides", {3}), ints_attribute("dilations", {2}),
                               int_attribute("group", 2), ints_attribute("pads", {1, 2}),
                               ints_attribute("output_padding", {extra})});
    check_near(got[0], {1, 6, size}, transposed(x, w, 4, 2, 3, 2, 3, 2, 1, size));
  }
}

TEST_CASE("a transposed convolution pads to a given size, the odd element where auto_pad says") {
  const auto x = random_floats(4, 3), w = random_floats(3, 4);
  for (const bool upper : {true, false}) {
    CAPTURE(upper);
    const auto got = run_node("ConvTranspose", {floats({1, 1, 4}, x), floats({1, 1, 3}, w)},
                              {ints_attribute("strides", {2}), ints_attribute("output_shape", {8}),
                               text_attribute("auto_pad", upper ? "SAME_UPPER" : "SAME_LOWER")});
    check_near(got[0], {1, 1, 8}, transposed(x, w, 1, 1, 1, 3, 2, 1, upper ? 0 : 1, 8));
  }
}

TEST_CASE("weights that do not fit are refused") {
  expect_error(
      [] {
        run_node("ConvTranspose",
                 {floats({1, 3, 4}, random_floats(12, 1)), floats({2, 1, 3}, random_floats(6, 1))});
      },
      {"ConvTranspose", "f32[2,1,3]", "f32[1,3,4]"});
}

TEST_CASE("an enlargement by whole numbers repeats elements, and a linear one goes between them") {
  const Value x = floats({1, 1, 1, 2}, {2, 4});
  const Value scales = floats({4}, {1, 1, 1, 2});
  check_near(run_node("Upsample", {x, scales}, {}, 1, 9)[0], {1, 1, 1, 4}, {2, 2, 4, 4});
  check_near(run_node("Upsample", {x, scales}, {text_attribute("mode", "linear")}, 1, 9)[0],
             {1, 1, 1, 4}, {2, 3, 4, 4});
  check_near(run_node("Resize", {x, {}, scales}, {text_attribute("mode", "linear")})[0],
             {1, 1, 1, 4}, {2, 2.5, 3.5, 4});
}

TEST_CASE("a reduction with antialias weighs all elements that it covers") {
  // Three to one: triangles of three elements to each side.
  const Value x = floats({1, 1, 1, 6}, {0, 9, 0, 0, 0, 0});
  const auto got = run_node("Resize", {x, {}, {}, longs({4}, {1, 1, 1, 2})},
                            {text_attribute("mode", "linear"), int_attribute("antialias", 1)});
  // The first result lies at 1, where elements -1 to 3 weigh 1, 2, 3, 2 and 1 ninths.
  check_near(got[0], {1, 1, 1, 2}, {3, 0});
}

TEST_CASE("a result may be empty, and a region may lie outside of the image") {
  const Value x = floats({1, 4}, {1, 2, 3, 4});
  for (const std::string mode : {"nearest", "linear", "cubic"}) {
    CAPTURE(mode);
    CHECK(run_node("Resize", {x, {}, floats({2}, {1, 0.125F})},
                   {text_attribute("mode", mode), int_attribute("antialias", mode != "nearest")})[0]
              .dims() == Dims{1, 0});
    check_near(run_node("Resize", {x, floats({4}, {0, 2, 1, 3}), {}, longs({2}, {1, 2})},
                        {text_attribute("mode", mode), int_attribute("exclude_outside", 1),
                         text_attribute("coordinate_transformation_mode", "tf_crop_and_resize"),
                         float_attribute("extrapolation_value", 7)})[0],
               {1, 2}, {7, 7});
  }
}

TEST_CASE("integers are interpolated and truncated") {
  const Value x = Value::of(HostTensor(Tensor::from<int32_t>({1, 2}, {1, 4})));
  const auto got =
      run_node("Resize", {x, {}, floats({2}, {1, 2})}, {text_attribute("mode", "linear")});
  check_near(got[0], {1, 4}, {1, 1, 3, 4});
}

// What one bin of one region reads, point by point.
double aligned(const std::vector<float>& x, int64_t h, int64_t w, double y1, double x1,
               double bin_h, double bin_w, int64_t i, int64_t j) {
  const auto rows = static_cast<int64_t>(std::ceil(bin_h)),
             columns = static_cast<int64_t>(std::ceil(bin_w));
  double sum = 0;
  for (int64_t a = 0; a < rows; ++a)
    for (int64_t b = 0; b < columns; ++b) {
      double y = y1 + bin_h * (static_cast<double>(i) +
                               (static_cast<double>(a) + 0.5) / static_cast<double>(rows));
      double z = x1 + bin_w * (static_cast<double>(j) +
                               (static_cast<double>(b) + 0.5) / static_cast<double>(columns));
      if (y < -1 || y > static_cast<double>(h) || z < -1 || z > static_cast<double>(w)) continue;
      y = std::clamp(y, 0.0, static_cast<double>(h - 1));
      z = std::clamp(z, 0.0, static_cast<double>(w - 1));
      const auto r = static_cast<int64_t>(y), s = static_cast<int64_t>(z);
      const int64_t r1 = std::min(r + 1, h - 1), s1 = std::min(s + 1, w - 1);
      const double dy = y - static_cast<double>(r), dz = z - static_cast<double>(s);
      const auto at = [&](int64_t p, int64_t q) {
        return static_cast<double>(x[static_cast<size_t>(p * w + q)]);
      };
      sum += (1 - dy) * ((1 - dz) * at(r, s) + dz * at(r, s1)) +
             dy * ((1 - dz) * at(r1, s) + dz * at(r1, s1));
    }
  return sum / static_cast<double>(std::max<int64_t>(rows * columns, 1));
}

TEST_CASE("regions of different sizes are sampled more or less often") {
  const auto x = random_floats(9 * 8, 5);
  const std::vector<float> regions = {0.5F, 1, 7.5F, 8, 2, 2, 4.5F, 3, 6, 7, 12, 13};
  const auto got = run_node(
      "RoiAlign", {floats({1, 1, 9, 8}, x), floats({3, 4}, regions), longs({3}, {0, 0, 0})},
      {int_attribute("output_height", 2), int_attribute("output_width", 3)});
  std::vector<double> wanted;
  for (size_t r = 0; r < 3; ++r) {
    const auto limit = [&](size_t k) { return static_cast<double>(regions[4 * r + k]) - 0.5; };
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t j = 0; j < 3; ++j)
        wanted.push_back(aligned(x, 9, 8, limit(1), limit(0), (limit(3) - limit(1)) / 2,
                                 (limit(2) - limit(0)) / 3, i, j));
  }
  check_near(got[0], {3, 1, 2, 3}, wanted);
}

TEST_CASE("the maximum of each bin of a region") {
  const Value x = floats({2, 1, 3, 4}, {0, 1, 2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                        0, 9, -2, -3, -4, -5, -6, -7, -8, -9, -1, -2});
  const Value regions = floats({2, 5}, {0, 0, 0, 3, 1, 1, 2, 1, 3, 2});
  const auto got = run_node("MaxRoiPool", {x, regions}, {ints_attribute("pooled_shape", {2, 2})});
  check_near(got[0], {2, 1, 2, 2}, {1, 3, 5, 7, -6, -7, -1, -2});
}

TEST_CASE("a palette and a row from the top of a BMP file, and a PNM file as text") {
  std::vector<uint8_t> bmp(14 + 40 + 8 + 8, 0);
  bmp[0] = 'B', bmp[1] = 'M', bmp[10] = 62, bmp[14] = 40, bmp[18] = 2, bmp[26] = 1, bmp[28] = 8;
  for (size_t i = 0; i < 4; ++i) bmp[22 + i] = 0xff;  // a height of -1
  bmp[54] = 1, bmp[55] = 2, bmp[56] = 3, bmp[58] = 4, bmp[59] = 5, bmp[60] = 6;
  bmp[62] = 1, bmp[63] = 0;
  const auto bytes = [](const std::vector<uint8_t>& v) {
    return Value::of(HostTensor(Tensor::from<uint8_t>({std::ssize(v)}, v)));
  };
  check_near(run_node("ImageDecoder", {bytes(bmp)})[0], {1, 2, 3}, {6, 5, 4, 3, 2, 1});
  const std::string pnm = "P3 # text\n1 2 255\n10 20 30\n40 50 60\n";
  const auto decoded = run_node("ImageDecoder", {bytes({pnm.begin(), pnm.end()})},
                                {text_attribute("pixel_format", "BGR")});
  check_near(decoded[0], {2, 1, 3}, {30, 20, 10, 60, 50, 40});
  const auto grey = run_node("ImageDecoder", {bytes({pnm.begin(), pnm.end()})},
                             {text_attribute("pixel_format", "Grayscale")});
  check_near(grey[0], {2, 1, 1}, {18, 48});
}

TEST_CASE("files that are broken are refused") {
  const auto refused = [](std::string file, std::initializer_list<std::string_view> says,
                          ErrorKind kind = ErrorKind::User) {
    const std::vector<uint8_t> bytes(file.begin(), file.end());
    expect_error(
        [&] {
          run_node("ImageDecoder",
                   {Value::of(HostTensor(Tensor::from<uint8_t>({std::ssize(bytes)}, bytes)))});
        },
        says, kind);
  };
  using namespace std::string_literals;
  refused("hello", {"ImageDecoder", "5 bytes"}, ErrorKind::Unsupported);
  refused("BM", {"BMP"});
  refused("P6 2 2 255\nabc", {"PNM"});
  refused("P6 99999999 99999999 255\nabc", {"99999999 x 99999999"});
  refused("\xff\xd8\xff\xe0", {"JPEG"});
  refused("\x89PNG\r\n\x1a\n", {"PNG"});
  refused("RIFF\x04\0\0\0WEBP"s, {"WebP"});
  refused("II*\0\x08\0\0\0"s, {"TIFF"});
  refused("\xff\x4f\xff\x51", {"JPEG 2000"});
}

}  // namespace
}  // namespace lathe::onnx
