#include "frontend/onnx/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace lathe::onnx {
namespace {

// Texts of floats as Cast accepts them.
double parse_float(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  text = begin == std::string_view::npos ? "" : text.substr(begin);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
  const auto [end, error] = std::from_chars(lower.data(), lower.data() + lower.size(), value);
  if (error == std::errc::invalid_argument || lower.empty())
    fail("'{}' is not a number, it cannot be cast to one", text);
  return value;
}

Tensor parse_all(const HostTensor& t, DType to) {
  Tensor out = Tensor::empty(to, t.dims());
  for (int64_t i = 0; i < out.size(); ++i) {
    const std::string& text = (*t.strings)[static_cast<size_t>(i)];
    int64_t whole = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
    if (is_integer(to) && error == std::errc() && end == text.data() + text.size())
      out.set_int(i, whole);
    else out.set(i, parse_float(text));
  }
  return out;
}

// Small integers wrap to their bits, as casts between integers do.
double wrap_bits(double value, ElemType to) {
  const int bits = info(to).bits;
  const auto whole = static_cast<int64_t>(std::trunc(value));
  int64_t low = whole & ((int64_t{1} << bits) - 1);
  if (is_signed(carrier(to)) && (low >> (bits - 1)) != 0) low -= int64_t{1} << bits;
  return static_cast<double>(low);
}

Tensor to_stored(const Tensor& t, ElemType to, const CastRules& rules) {
  Tensor out = Tensor::empty(carrier(to), t.dims());
  for (int64_t i = 0; i < t.size(); ++i) {
    const double value = t.at(i);
    if (is_float(out.dtype()))
      out.set(i, static_cast<double>(small_float_value(
                     to, small_float_bits(to, static_cast<float>(value), rules))));
    else out.set(i, wrap_bits(value, to));
  }
  return out;
}

}  // namespace

std::string number_text(const HostTensor& t, int64_t i) {
  const Tensor& n = t.numbers;
  if (n.dtype() == DType::boolean) return n.int_at(i) != 0 ? "True" : "False";
  if (n.dtype() == DType::u64) return fmt::format("{}", static_cast<uint64_t>(n.int_at(i)));
  if (!is_float(n.dtype())) return fmt::format("{}", n.int_at(i));
  const double value = n.at(i);
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-INF" : "INF";
  return n.dtype() == DType::f64 ? fmt::format("{}", value)
                                 : fmt::format("{}", static_cast<float>(value));
}

HostTensor convert(const HostTensor& t, ElemType to, const CastRules& rules) {
  if (to == t.elem) return t;
  if (to == ElemType::String) {
    std::vector<std::string> texts;
    for (int64_t i = 0; i < t.numbers.size(); ++i) texts.push_back(number_text(t, i));
    return {t.dims(), std::move(texts)};
  }
  const Tensor numbers = t.is_string() ? parse_all(t, carrier(to)) : t.numbers;
  if (is_stored_only(to)) return {to, to_stored(numbers, to, rules)};
  const DType type = carrier(to);
  if (numbers.dtype() == type) return {to, numbers};
  Tensor out = Tensor::empty(type, numbers.dims());
  const bool whole = !is_float(numbers.dtype()) && !is_float(type);
  for (int64_t i = 0; i < numbers.size(); ++i) {
    if (whole && type == DType::boolean) out.set_int(i, numbers.int_at(i) != 0 ? 1 : 0);
    else if (whole) out.set_int(i, numbers.int_at(i));
    else out.set(i, numbers.at(i));
  }
  return {to, out};
}

}  // namespace lathe::onnx
