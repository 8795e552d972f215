#include "ir/scalar_eval.h"

#include <type_traits>

namespace lathe::scalar {
namespace {

template <class T, T (*F)(T)>
uint64_t call1(uint64_t a, uint64_t, uint64_t) {
  return to_bits<T>(F(from_bits<T>(a)));
}
template <class R, class T, R (*F)(T, T)>
uint64_t call2(uint64_t a, uint64_t b, uint64_t) {
  return to_bits<R>(F(from_bits<T>(a), from_bits<T>(b)));
}
template <class T>
uint64_t call_fma(uint64_t a, uint64_t b, uint64_t c) {
  return to_bits<T>(fma<T>(from_bits<T>(a), from_bits<T>(b), from_bits<T>(c)));
}
template <class T>
uint64_t call_scale2(uint64_t a, uint64_t n, uint64_t) {
  return to_bits<T>(scale2<T>(from_bits<T>(a), from_bits<Exponent<T>>(n)));
}
uint64_t call_select(uint64_t c, uint64_t a, uint64_t b) { return c != 0 ? a : b; }
uint64_t call_bits(uint64_t a, uint64_t, uint64_t) { return a; }

template <class To, class From, DType storage>
uint64_t call_cast(uint64_t a, uint64_t, uint64_t) {
  const To v = cast<To, From>(from_bits<From>(a));
  if constexpr (std::same_as<To, float>) return to_bits<float>(round_to_storage(storage, v));
  else return to_bits<To>(v);
}

template <Number T>
ScalarFn number_function(Scalar op) {
  switch (op) {
    case Scalar::Add: return call2<T, T, add<T>>;
    case Scalar::Sub: return call2<T, T, sub<T>>;
    case Scalar::Mul: return call2<T, T, mul<T>>;
    case Scalar::Div: return call2<T, T, div<T>>;
    case Scalar::Rem: return call2<T, T, rem<T>>;
    case Scalar::Fma: return call_fma<T>;
    case Scalar::Min: return call2<T, T, min<T>>;
    case Scalar::Max: return call2<T, T, max<T>>;
    case Scalar::Neg: return call1<T, neg<T>>;
    case Scalar::Abs: return call1<T, abs<T>>;
    default: return nullptr;
  }
}

template <Float T>
ScalarFn float_function(Scalar op) {
  switch (op) {
    case Scalar::Sqrt: return call1<T, sqrt<T>>;
    case Scalar::Floor: return call1<T, floor<T>>;
    case Scalar::Ceil: return call1<T, ceil<T>>;
    case Scalar::Trunc: return call1<T, trunc<T>>;
    case Scalar::RoundEven: return call1<T, round_even<T>>;
    case Scalar::Scale2: return call_scale2<T>;
    default: return nullptr;
  }
}

template <Any T>
ScalarFn compare_function(Scalar op) {
  switch (op) {
    case Scalar::Eq: return call2<bool, T, eq<T>>;
    case Scalar::Ne: return call2<bool, T, ne<T>>;
    case Scalar::Lt: return call2<bool, T, lt<T>>;
    case Scalar::Le: return call2<bool, T, le<T>>;
    default: return nullptr;
  }
}

template <Logical T>
ScalarFn logical_function(Scalar op) {
  switch (op) {
    case Scalar::And: return call2<T, T, bit_and<T>>;
    case Scalar::Or: return call2<T, T, bit_or<T>>;
    case Scalar::Xor: return call2<T, T, bit_xor<T>>;
    case Scalar::Not: return call1<T, bit_not<T>>;
    default: return nullptr;
  }
}

template <Integer T>
ScalarFn shift_function(Scalar op) {
  switch (op) {
    case Scalar::Shl: return call2<T, T, shl<T>>;
    case Scalar::Shr: return call2<T, T, shr<T>>;
    default: return nullptr;
  }
}

// Scalars whose result has the type of their arguments.
template <Any T>
ScalarFn same_type_function(Scalar op) {
  ScalarFn fn = nullptr;
  if constexpr (Number<T>) fn = number_function<T>(op);
  if constexpr (Float<T>)
    if (fn == nullptr) fn = float_function<T>(op);
  if constexpr (Logical<T>)
    if (fn == nullptr) fn = logical_function<T>(op);
  if constexpr (Integer<T>)
    if (fn == nullptr) fn = shift_function<T>(op);
  return fn;
}

ScalarFn cast_function(DType from, DType to) {
  return visit_compute(from, [&]<class From>() -> ScalarFn {
    if (to == DType::f16) return call_cast<float, From, DType::f16>;
    if (to == DType::bf16) return call_cast<float, From, DType::bf16>;
    return visit_compute(to,
                         [&]<class To>() -> ScalarFn { return call_cast<To, From, DType::f32>; });
  });
}

bool can_bitcast(DType from, DType to) {
  return byte_size(from) == byte_size(to) && byte_size(from) >= 4;
}

template <class T, Combine C>
uint64_t call_combine(uint64_t acc, uint64_t a, uint64_t b) {
  const T x = from_bits<T>(acc), y = from_bits<T>(a);
  if constexpr (C == Combine::Assign) return a;
  else if constexpr (C == Combine::And) return to_bits<T>(bit_and<T>(x, y));
  else if constexpr (C == Combine::Or) return to_bits<T>(bit_or<T>(x, y));
  else if constexpr (C == Combine::Add) return to_bits<T>(add<T>(x, y));
  else if constexpr (C == Combine::Mul) return to_bits<T>(mul<T>(x, y));
  else if constexpr (C == Combine::Max) return to_bits<T>(max<T>(x, y));
  else if constexpr (C == Combine::Min) return to_bits<T>(min<T>(x, y));
  else if constexpr (C == Combine::FmaFlush) return to_bits<T>(fma_flush(y, from_bits<T>(b), x));
  else return to_bits<T>(fma<T>(y, from_bits<T>(b), x));
}

template <Any T>
CombineFn typed_combine(Combine combine) {
  if (combine == Combine::Assign) return call_combine<T, Combine::Assign>;
  if constexpr (Logical<T>) {
    if (combine == Combine::And) return call_combine<T, Combine::And>;
    if (combine == Combine::Or) return call_combine<T, Combine::Or>;
  }
  if constexpr (Number<T>) {
    if (combine == Combine::Add) return call_combine<T, Combine::Add>;
    if (combine == Combine::Mul) return call_combine<T, Combine::Mul>;
    if (combine == Combine::Max) return call_combine<T, Combine::Max>;
    if (combine == Combine::Min) return call_combine<T, Combine::Min>;
    if (combine == Combine::Fma) return call_combine<T, Combine::Fma>;
  }
  if constexpr (std::same_as<T, float>) {
    if (combine == Combine::FmaFlush) return call_combine<T, Combine::FmaFlush>;
  }
  return nullptr;
}

template <class T>
uint64_t load(const void* base, int64_t i) {
  if constexpr (std::same_as<T, Half>)
    return to_bits<float>(f16_to_float(static_cast<const Half*>(base)[i].bits));
  else if constexpr (std::same_as<T, BFloat16>)
    return to_bits<float>(bf16_to_float(static_cast<const BFloat16*>(base)[i].bits));
  else if constexpr (std::same_as<T, bool>)
    return static_cast<const uint8_t*>(base)[i] != 0 ? 1 : 0;
  else return to_bits<T>(static_cast<const T*>(base)[i]);
}

template <class T>
void store(void* base, int64_t i, uint64_t bits) {
  if constexpr (std::same_as<T, Half>)
    static_cast<Half*>(base)[i].bits = float_to_f16(from_bits<float>(bits));
  else if constexpr (std::same_as<T, BFloat16>)
    static_cast<BFloat16*>(base)[i].bits = float_to_bf16(from_bits<float>(bits));
  else static_cast<T*>(base)[i] = from_bits<T>(bits);
}

}  // namespace

ScalarFn scalar_function(Scalar op, DType arg, DType result) {
  if (op == Scalar::Cast) return cast_function(arg, result);
  if (op == Scalar::Bitcast) return can_bitcast(arg, result) ? call_bits : nullptr;
  if (op == Scalar::Select) return compute_type(arg) == result ? call_select : nullptr;
  return visit_compute(arg, [&]<class T>() -> ScalarFn {
    if (result == DType::boolean)
      if (ScalarFn fn = compare_function<T>(op)) return fn;
    return compute_type(arg) == result ? same_type_function<T>(op) : nullptr;
  });
}

CombineFn combine_function(Combine combine, DType t) {
  return visit_compute(t, [&]<class T>() { return typed_combine<T>(combine); });
}

uint64_t combine_identity(Combine combine, DType t) {
  return visit_compute(t, [&]<class T>() -> uint64_t {
    using Limits = std::numeric_limits<T>;
    switch (combine) {
      case Combine::Mul: return to_bits<T>(T{1});
      case Combine::Max:
        return to_bits<T>(Limits::has_infinity ? -Limits::infinity() : Limits::min());
      case Combine::Min:
        return to_bits<T>(Limits::has_infinity ? Limits::infinity() : Limits::max());
      case Combine::And: return to_bits<T>(cast<T, int64_t>(-1));
      default: return 0;
    }
  });
}

uint64_t constant_bits(DType t, double number, int64_t integer) {
  return visit_compute(t, [&]<class T>() -> uint64_t {
    if constexpr (Float<T>) return to_bits<T>(static_cast<T>(number));
    else return to_bits<T>(cast<T, int64_t>(integer));
  });
}

int64_t integer_value(DType t, uint64_t bits) {
  return visit_compute(t,
                       [&]<class T>() -> int64_t { return cast<int64_t, T>(from_bits<T>(bits)); });
}

LoadFn load_function(DType t) {
  return visit_dtype(t, []<class T>() -> LoadFn { return load<T>; });
}
StoreFn store_function(DType t) {
  return visit_dtype(t, []<class T>() -> StoreFn { return store<T>; });
}

}  // namespace lathe::scalar
