// Fourier transforms, window functions and mel weights.
#include <cmath>
#include <numbers>

#include "frontend/onnx/row.h"
#include "ir/axes.h"

namespace lathe::onnx {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

struct Complex {
  Expr re, im;  // im is not defined where it is 0
};

// The table of f(turn * i * k / n) over i and k, with i * k reduced first so that it is exact.
template <double (*f)(double)>
Expr table(OpContext& context, const Expr& like, int64_t rows, int64_t columns, int64_t n) {
  context.check_table({rows, columns}, "coefficients of a transform");
  Tensor t = Tensor::empty(like.dtype(), {rows, columns});
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t k = 0; k < columns; ++k)
      t.set(i * columns + k, f(kTurn * static_cast<double>(i * k % n) / static_cast<double>(n)));
  return constant(*like.graph, t);
}
double cosine(double x) { return std::cos(x); }
double sine(double x) { return std::sin(x); }

// x with its axis `axis` contracted with the rows of m; the columns take its place.
Expr along_axis(const Expr& x, int64_t axis, const Expr& m) {
  const Expr y =
      dot_general(x, m, {.lhs_contract = {axis}, .rhs_contract = {0}, .dtype = x.dtype()});
  Dims perm = range(0, x.rank() - 1);
  perm.insert(perm.begin() + axis, x.rank() - 1);
  return transpose(y, perm);
}

// The first `count` coefficients over an axis: by its matrix.
Complex direct(OpContext& context, const Complex& x, int64_t axis, int64_t count) {
  const int64_t n = x.re.shape()[static_cast<int>(axis)].value();
  const Expr c = table<cosine>(context, x.re, n, count, n),
             s = table<sine>(context, x.re, n, count, n);
  const Expr re = along_axis(x.re, axis, c), im = -along_axis(x.re, axis, s);
  if (!x.im.defined()) return {re, im};
  return {re + along_axis(x.im, axis, s), im + along_axis(x.im, axis, c)};
}

// Up to this length a matrix is not slower than steps, and beyond it a matrix becomes large.
constexpr int64_t kDirect = 64;

// The largest factor up to kDirect; 1 where there is none.
int64_t factor(int64_t n) {
  for (int64_t f = kDirect; f > 1; --f)
    if (n % f == 0 && f < n) return f;
  return 1;
}

// Over the last axis. A length p * q goes in two steps (Cooley and Tukey): with i = i1 q + i2 and
// k = k1 + p k2, transforms of length p over i1, a turn by i2 k1 / (p q), and transforms of length
// q over i2.
Complex transformed(OpContext& context, const Complex& x, int64_t count) {
  const Dims dims = x.re.shape().static_dims();
  const int64_t n = dims.back(), p = factor(n), q = n / p, axis = std::ssize(dims) - 1;
  if (n <= 4 * kDirect || p == 1) return direct(context, x, axis, count);
  Dims split = dims;
  split.back() = p;
  split.push_back(q);
  const auto as = [](const Expr& e, const Dims& to) {
    return e.defined() ? reshape(e, Shape(to)) : e;
  };
  const Complex first = direct(context, {as(x.re, split), as(x.im, split)}, axis, p);
  const Expr c = table<cosine>(context, x.re, p, q, n), s = table<sine>(context, x.re, p, q, n);
  const Complex turned{first.re * c + first.im * s, first.im * c - first.re * s};
  const Complex second = transformed(context, turned, q);
  Dims perm = range(0, axis);
  perm.push_back(axis + 1);
  perm.push_back(axis);
  const auto joined = [&](const Expr& e) {
    return slice_axis(reshape(transpose(e, perm), Shape(dims)), axis, 0, count);
  };
  return {joined(second.re), joined(second.im)};
}

// To n elements of the last axis: cut off, or zeros added.
Expr of_length(const Expr& x, int64_t n) {
  if (!x.defined()) return x;
  const int64_t axis = x.rank() - 1, have = x.shape()[static_cast<int>(axis)].value();
  if (have >= n) return have == n ? x : slice_axis(x, axis, 0, n);
  std::vector<Dim> low(static_cast<size_t>(x.rank()), 0), high = low;
  high.back() = n - have;
  return pad(x, 0, low, high, Dims(low.size(), 0));
}

// The other half of a spectrum whose signal is real.
Complex completed(const Complex& x, int64_t n) {
  const int64_t axis = x.re.rank() - 1, half = n / 2 + 1;
  const auto mirrored = [&](const Expr& e) {
    return reverse(slice_axis(e, axis, 1, n - half), axis);
  };
  const Complex h{of_length(x.re, half), of_length(x.im, half)};
  Complex out{concat({h.re, mirrored(h.re)}, axis), {}};
  if (h.im.defined()) out.im = concat({h.im, -mirrored(h.im)}, axis);
  return out;
}

// The inverse is the transform of the conjugate, conjugated, over n.
Complex inverted(OpContext& context, const Complex& x, int64_t n) {
  const Complex y = transformed(context, {x.re, x.im.defined() ? -x.im : x.im}, n);
  const auto length = static_cast<double>(n);
  return {y.re / length, -y.im / length};
}

Complex parts(const Expr& x) {
  const int64_t axis = x.rank() - 1, count = x.shape()[static_cast<int>(axis)].value();
  if (count != 1 && count != 2)
    fail("{}: the last axis holds a real part, or it and an imaginary one", x.type().text());
  return {squeeze(slice_axis(x, axis, 0, 1), axis),
          count == 2 ? squeeze(slice_axis(x, axis, 1, 1), axis) : Expr()};
}

Expr paired(const Complex& x) {
  const int64_t axis = x.re.rank();
  return concat({expand_dims(x.re, axis), expand_dims(x.im, axis)}, axis);
}

// n as a length of a transform; one that is not given is `missing`.
int64_t length_input(OpContext& c, int i, int64_t missing) {
  const int64_t n = c.has(i) ? c.integer(i) : missing;
  if (n < 1 || n >= int64_t{1} << 30) fail("a transform of {} elements", n);
  return n;
}

void dft(OpContext& c) {
  const Expr x = widened(c.expr(0));
  const bool inverse = c.attr_int("inverse", 0) != 0, onesided = c.attr_int("onesided", 0) != 0;
  const bool axis_is_input = c.version() >= 20;
  if (axis_is_input) c.need({1, 2});
  const int64_t given = axis_is_input ? (c.has(2) ? c.integer(2) : -2) : c.attr_int("axis", 1);
  const int64_t rank = x.rank(), axis = c.axis(given, rank);
  if (axis == rank - 1) fail("axis {} is that of real and imaginary parts", axis);
  const int64_t size = x.shape()[static_cast<int>(axis)].value();
  const int64_t n = length_input(c, 1, inverse && onesided ? 2 * (size - 1) : size);
  Dims perm = range(0, rank - 1);  // the axis last
  perm.erase(perm.begin() + axis);
  perm.push_back(axis);
  const Dims back = inverse_perm(perm);
  const Complex given_parts = parts(x);
  const auto moved = [&](const Expr& e) { return e.defined() ? transpose(e, perm) : e; };
  Complex y{moved(given_parts.re), moved(given_parts.im)};
  if (inverse && onesided) y = inverted(c, completed(y, n), n);
  else if (inverse) y = inverted(c, {of_length(y.re, n), of_length(y.im, n)}, n);
  else y = transformed(c, {of_length(y.re, n), of_length(y.im, n)}, onesided ? n / 2 + 1 : n);
  y = {transpose(y.re, back), transpose(y.im, back)};
  c.out(cast(inverse && onesided ? expand_dims(y.re, rank - 1) : paired(y), c.dtype(0)));
}

// Inputs: a signal [N, length, 1 or 2], the step between frames, a window, the length of a frame.
void stft(OpContext& c) {
  const Expr x = widened(c.expr(0));
  if (x.rank() != 3) fail("its signal is {}, three axes were expected", x.type().text());
  c.need({1, 3});
  const int64_t size = c.dims(0)[1], step = c.integer(1);
  const int64_t n = length_input(c, 3, c.has(2) ? element_count(c.dims(2)) : size);
  if (step < 1 || step >= int64_t{1} << 20) fail("a step of {}", step);
  if (n > size) fail("a frame of {} elements, the signal has {}", n, size);
  if (c.has(2) && c.dims(2) != Dims{n}) fail("a window {} for {}", c.input(2).signature(), n);
  const auto frames = [&](const Expr& e) {
    if (!e.defined()) return e;
    const Expr f =
        windows(e, {.kernel = {n}, .stride = {step}, .dilation = {1}, .low = {0}, .high = {0}});
    return c.has(2) ? f * widened(c.expr(2)) : f;
  };
  const Complex signal = parts(x);
  const bool onesided = c.attr_int("onesided", 1) != 0;
  const Complex y =
      transformed(c, {frames(signal.re), frames(signal.im)}, onesided ? n / 2 + 1 : n);
  c.out(cast(paired(y), c.dtype(0)));
}

// A sum of cosines; `weights` has alternating signs.
void cosine_window(OpContext& c, const std::vector<double>& weights) {
  const int64_t size = c.integer(0);
  const bool periodic = c.attr_int("periodic", 1) != 0;
  const ElemType type = elem_type(c.attr_int("output_datatype", 1));
  if (size < 0) fail("a window of {} elements", size);
  c.check_count(size, "elements of a window");
  Tensor t = Tensor::empty(carrier(type), {size});
  const int64_t turn = std::max<int64_t>(periodic ? size : size - 1, 1);
  for (int64_t i = 0; i < size; ++i) {
    double value = 0;
    for (size_t k = 0; k < weights.size(); ++k)
      value += weights[k] * std::cos(kTurn * static_cast<double>(k) * static_cast<double>(i) /
                                     static_cast<double>(turn));
    t.set(i, value);
  }
  c.out(HostTensor(type, t));
}

void hann_window(OpContext& c) { cosine_window(c, {0.5, -0.5}); }
void hamming_window(OpContext& c) { cosine_window(c, {25.0 / 46, -21.0 / 46}); }
void blackman_window(OpContext& c) { cosine_window(c, {0.42, -0.5, 0.08}); }

// Triangles over the bins of a spectrum, evenly spaced in mel.
void mel_weight_matrix(OpContext& c) {
  c.need({0, 1, 2, 3, 4});
  const int64_t bins = c.integer(0), length = c.integer(1), rate = c.integer(2);
  if (bins < 0 || bins >= int64_t{1} << 20 || length < 1 || length >= int64_t{1} << 30 || rate < 1)
    fail("{} bins of {} elements at a rate of {}", bins, length, rate);
  const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double low = mel(c.number(3)), high = mel(c.number(4));
  const auto at = [&](int64_t i) {  // the bin of the spectrum of edge i
    const double m = low + static_cast<double>(i) * (high - low) / static_cast<double>(bins + 2);
    const double hertz = 700 * (std::pow(10.0, m / 2595) - 1);
    const double bin =
        std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate));
    if (!(std::abs(bin) < 0x1p40)) fail("the frequency {} at a rate of {}", hertz, rate);
    return static_cast<int64_t>(bin);
  };
  const int64_t rows = length / 2 + 1;
  const ElemType type = elem_type(c.attr_int("output_datatype", 1));
  c.check_table({rows, bins}, "mel weights");
  Tensor t = Tensor::zeros(carrier(type), {rows, bins});
  for (int64_t i = 0; i < bins; ++i) {
    const int64_t left = at(i), centre = at(i + 1), right = at(i + 2);
    if (left < 0 || right > rows)
      fail("the edges {} to {} are outside of a spectrum of {}", left, right, rows);
    for (int64_t k = left; k < std::max(right, centre + 1) && k < rows; ++k) {
      const bool rises = k < centre || (k == centre && right == centre);
      const auto from = static_cast<double>(rises ? k - left : right - k);
      const auto span = static_cast<double>(rises ? centre - left : right - centre);
      t.set(k * bins + i, span == 0 ? 1 : from / span);
    }
  }
  c.out(HostTensor(type, t));
}

constexpr OpRow kRows[] = {
    {"BlackmanWindow", 17, blackman_window},    {"DFT", 17, dft},
    {"HammingWindow", 17, hamming_window},      {"HannWindow", 17, hann_window},
    {"MelWeightMatrix", 17, mel_weight_matrix}, {"STFT", 17, stft},
};

}  // namespace

std::span<const OpRow> signal_rows() { return kRows; }

}  // namespace lathe::onnx
