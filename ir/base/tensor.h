// A dense row-major tensor value: element type, static dims, and shared bytes.
//
// Copying a Tensor shares its bytes. Bytes may belong to the heap or to a mapped file; the owner
// keeps them alive. Alignment is 64 bytes for what `Tensor::empty` allocates. In a file elements
// may lie at any address; whoever asks for them as elements gets them from an aligned copy, made
// once.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/shape.h"

namespace lathe {

// Maps a storage type to its DType.
template <class T>
struct DTypeOf;
// clang-format off
template <> struct DTypeOf<double> { static constexpr DType value = DType::f64; };
template <> struct DTypeOf<float> { static constexpr DType value = DType::f32; };
template <> struct DTypeOf<Half> { static constexpr DType value = DType::f16; };
template <> struct DTypeOf<BFloat16> { static constexpr DType value = DType::bf16; };
template <> struct DTypeOf<int64_t> { static constexpr DType value = DType::i64; };
template <> struct DTypeOf<int32_t> { static constexpr DType value = DType::i32; };
template <> struct DTypeOf<int16_t> { static constexpr DType value = DType::i16; };
template <> struct DTypeOf<int8_t> { static constexpr DType value = DType::i8; };
template <> struct DTypeOf<uint64_t> { static constexpr DType value = DType::u64; };
template <> struct DTypeOf<uint32_t> { static constexpr DType value = DType::u32; };
template <> struct DTypeOf<uint16_t> { static constexpr DType value = DType::u16; };
template <> struct DTypeOf<uint8_t> { static constexpr DType value = DType::u8; };
template <> struct DTypeOf<bool> { static constexpr DType value = DType::boolean; };
// clang-format on

class Tensor {
 public:
  Tensor() = default;

  // Uninitialised and zeroed storage of our own. Out of memory is a user error naming the shape.
  static Tensor empty(DType dtype, Dims dims);
  static Tensor zeros(DType dtype, Dims dims);
  // Borrows `data`, at any address, kept alive by `owner` (which may be null for static data).
  static Tensor view(DType dtype, Dims dims, const void* data, std::shared_ptr<const void> owner);

  template <class T>
  static Tensor from(Dims dims, const std::vector<T>& values) {
    Tensor t = empty(DTypeOf<T>::value, std::move(dims));
    LATHE_ASSERT(static_cast<int64_t>(values.size()) == t.size());
    T* out = t.mutable_data<T>();
    for (size_t i = 0; i < values.size(); ++i) out[i] = values[i];
    return t;
  }
  template <class T>
  static Tensor scalar(T value) {
    return from<T>({}, std::vector<T>{value});
  }
  // A rank-0 tensor of any type from a double, rounded or truncated as a cast would.
  static Tensor scalar_of(DType dtype, double value);

  bool defined() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Dims& dims() const { return dims_; }
  int rank() const { return static_cast<int>(dims_.size()); }
  int64_t size() const { return size_; }  // elements
  int64_t bytes() const { return size_ * byte_size(dtype_); }

  // At a multiple of the element's size.
  const void* raw() const { return misplaced_ ? aligned() : data_; }
  // Where the bytes lie, at any address.
  const std::byte* stored() const { return static_cast<const std::byte*>(data_); }
  // Precondition: storage of our own, not a view of a read-only mapping.
  void* mutable_raw();

  template <class T>
  const T* data() const {
    LATHE_ASSERT(DTypeOf<T>::value == dtype_, "tensor holds {}", name(dtype_));
    return static_cast<const T*>(raw());
  }
  template <class T>
  T* mutable_data() {
    LATHE_ASSERT(DTypeOf<T>::value == dtype_, "tensor holds {}", name(dtype_));
    return static_cast<T*>(mutable_raw());
  }
  template <class T>
  std::span<const T> values() const {
    return {data<T>(), static_cast<size_t>(size_)};
  }

  // Element i (row-major) as a double; exact for every type but 64-bit integers beyond 2^53.
  double at(int64_t i) const;
  // Stores a double as the element type: floats round to nearest even, integers truncate toward
  // zero and saturate, bool is value != 0.
  void set(int64_t i, double value);
  // Exact access for integer and boolean types.
  int64_t int_at(int64_t i) const;
  void set_int(int64_t i, int64_t value);

  // The same bytes under other dims of equal element count.
  Tensor reshaped(Dims dims) const;
  Tensor clone() const;
  std::string type_text() const;  // "f32[2,3]"

 private:
  struct Misplaced;  // a copy of bytes that lie at an address that is none of the type's
  const void* aligned() const;

  DType dtype_ = DType::f32;
  Dims dims_;
  int64_t size_ = 0;
  const void* data_ = nullptr;
  bool writable_ = false;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<Misplaced> misplaced_;
};

// True for 1 to kSmallTensor elements that all have the same bits. Larger tensors are not read.
inline constexpr int64_t kSmallTensor = 64;
bool is_splat(const Tensor& t);

// Same type, dims and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace lathe
