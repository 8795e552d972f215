#include "ir/attrs.h"

#include <bit>

namespace lathe {
namespace {

// Literals beyond kSmallTensor are compared by address: mapped weights are never read here.
bool same(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.dims() != b.dims()) return false;
  return a.stored() == b.stored() || (a.size() <= kSmallTensor && identical(a, b));
}
bool same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }
template <class T>
bool same(const T& a, const T& b) {
  return a == b;
}

struct FieldHash {
  Hasher& h;
  void add(int64_t v) { h.add(static_cast<uint64_t>(v)); }
  void add(bool v) { h.add(static_cast<uint64_t>(v)); }
  void add(double v) { h.add(std::bit_cast<uint64_t>(v)); }
  void add(DType v) { h.add(static_cast<uint64_t>(v)); }
  void add(const std::string& v) { h.add(std::string_view(v)); }
  void add(const Dim& v) {
    if (v.is_static()) add(v.value());
    else h.add(std::string_view(v.text()));
  }
  void add(const Shape& v) { add(v.dims()); }
  template <class T>
  void add(const std::vector<T>& v) {
    h.add(v.size());
    for (const T& e : v) add(e);
  }
  void add(const Tensor& v) {
    add(v.dtype());
    add(v.dims());
    if (v.size() <= kSmallTensor) h.bytes(v.stored(), static_cast<size_t>(v.bytes()));
    else h.add(reinterpret_cast<uintptr_t>(v.stored()));
  }
};

struct FieldBind {
  const DimBinding& binding;
  void apply(Dim& d) const { d = d.bind(binding); }
  void apply(Shape& s) const { s = s.bind(binding); }
  void apply(std::vector<Dim>& v) const {
    for (Dim& d : v) d = d.bind(binding);
  }
  template <class T>
  void apply(T&) const {}
};

}  // namespace

bool operator==(const Attrs& a, const Attrs& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&]<class T>(const T& x) {
        const T& y = std::get<T>(b);
        // Walks both structs in step: the n-th field of x against the n-th of y.
        bool equal = true;
        int position = 0;
        T::fields(x, [&](const char*, const auto& left) {
          int other = 0;
          T::fields(y, [&](const char*, const auto& right) {
            if constexpr (std::is_same_v<decltype(left), decltype(right)>) {
              if (other == position) equal = equal && same(left, right);
            }
            ++other;
          });
          ++position;
        });
        return equal;
      },
      a);
}

void hash_attrs(const Attrs& a, Hasher& h) {
  h.add(a.index());
  std::visit(
      [&]<class T>(const T& x) {
        T::fields(x, [&](const char*, const auto& field) { FieldHash{h}.add(field); });
      },
      a);
}

Attrs bind_attrs(const Attrs& a, const DimBinding& binding) {
  Attrs out = a;
  std::visit(
      [&]<class T>(T& x) {
        T::fields(x, [&](const char*, auto& field) { FieldBind{binding}.apply(field); });
      },
      out);
  return out;
}

}  // namespace lathe
