// The main program of every conv_<engine>:
//
//   conv_<engine> THREADS SECONDS [PART]
//
// checks each layer (whose case contains PART), measures it for SECONDS and prints one line of
// JSON.
#include "bench/compare/conv.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "bench/compare/measure.h"

namespace lathe::compare {
namespace {

constexpr int kPlaces = 400;  // that are checked, of results

// "ResNet-50, 3x3/2 128 > 128 at 56, 1 times": bench/compare/results.py reads it.
std::string case_of(const ConvLayer& l) {
  return fmt::format("{}, {}{}x{}{} {} > {} at {}{}, {} times", l.net,
                     l.depthwise ? "depthwise " : "", l.window, l.window,
                     l.stride > 1 ? fmt::format("/{}", l.stride) : "", l.channels, l.filters,
                     l.size, l.relu ? "" : " linear", l.times);
}

float expected(const Conv& conv, int64_t row, int64_t column, int64_t filter) {
  const ConvLayer& l = conv.layer;
  float sum = conv.bias[filter];
  for (int64_t c = 0; c < l.channels_each(); ++c)
    for (int64_t i = 0; i < l.window * l.window; ++i) {
      const int64_t y = row * l.stride + i / l.window - l.padding(),
                    x = column * l.stride + i % l.window - l.padding();
      if (std::min(x, y) < 0 || std::max(x, y) >= l.size) continue;
      const int64_t channel = l.depthwise ? filter : c;
      const float pixel = conv.x[l.reads_image() ? (channel * l.size + y) * l.size + x
                                                 : (y * l.size + x) * l.channels + channel];
      sum += pixel * conv.weights[(filter * l.channels_each() + c) * l.window * l.window + i];
    }
  return l.relu ? std::max(sum, 0.0f) : sum;
}

// At places that are spread over all of y, corners among them.
bool correct(const Conv& conv, std::mt19937& random) {
  const int64_t n = conv.layer.result_size(), filters = conv.layer.filters;
  for (int i = 0; i < kPlaces; ++i) {
    const auto draw = [&](int64_t size) {
      return i < 4 ? (size - 1) * (i & 1) : static_cast<int64_t>(random()) % size;
    };
    const int64_t row = draw(n), column = i < 4 ? (n - 1) * (i / 2) : draw(n),
                  filter = draw(filters);
    if (conv.y[(row * n + column) * filters + filter] != expected(conv, row, column, filter))
      return false;
  }
  return true;
}

bool measure(const ConvLayer& l, int threads, double budget) {
  std::mt19937 random(1);
  const int64_t n = l.result_size();
  const Floats x = small_integers(l.channels * l.size * l.size, random),
               weights =
                   small_integers(l.filters * l.channels_each() * l.window * l.window, random),
               bias = small_integers(l.filters, random);
  Floats y(static_cast<size_t>(n * n * l.filters), std::numeric_limits<float>::quiet_NaN());
  const Conv conv{l, x.data(), weights.data(), bias.data(), y.data()};
  const PreparedConv prepared = prepare_conv(conv, threads);
  prepared.call();
  prepared.fetch();
  if (!correct(conv, random)) {
    fmt::print(stderr, "{}: the result is wrong\n", case_of(l));
    return false;
  }
  fmt::print("{{\"case\": \"{}\", \"ms\": {}}}\n", case_of(l),
             median_milliseconds(prepared.call, budget));
  return true;
}

}  // namespace
}  // namespace lathe::compare

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    fmt::print(stderr, "usage: {} THREADS SECONDS [PART]\n", argv[0]);
    return 2;
  }
  for (const lathe::compare::ConvLayer& layer : lathe::compare::conv_layers())
    if (argc == 3 || lathe::compare::case_of(layer).find(argv[3]) != std::string::npos)
      if (!lathe::compare::measure(layer, std::atoi(argv[1]), std::atof(argv[2]))) return 1;
}
