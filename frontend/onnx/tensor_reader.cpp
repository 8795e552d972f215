#include "frontend/onnx/tensor_reader.h"

#include <charconv>
#include <cstring>
#include <filesystem>

namespace lathe::onnx {
namespace {

namespace fs = std::filesystem;

struct Proto {
  std::string name;
  Dims dims;
  int64_t type = 0;
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<int64_t> ints32, ints64, uints64;
  std::vector<std::string> strings;
  Bytes raw;
  bool has_raw = false, external = false;
  std::map<std::string, std::string> location;
};

void read_entry(WireReader r, std::map<std::string, std::string>& out) {
  std::string key, value;
  while (r.next()) {
    if (r.field() == 1) key = r.text();
    else if (r.field() == 2) value = r.text();
    else r.skip();
  }
  out[key] = value;
}

Proto read_proto(WireReader r) {
  Proto p;
  while (r.next()) switch (r.field()) {
      case 1: r.append(p.dims); break;
      case 2: p.type = r.integer(); break;
      case 3: fail("{}: a tensor stored in segments is not supported", r.file());
      case 4: r.append(p.floats); break;
      case 5: r.append(p.ints32); break;
      case 6: p.strings.push_back(r.text()); break;
      case 7: r.append(p.ints64); break;
      case 8: p.name = r.text(); break;
      case 9: p.raw = r.bytes(), p.has_raw = true; break;
      case 10: r.append(p.doubles); break;
      case 11: r.append(p.uints64); break;
      case 13: read_entry(r.message(), p.location); break;
      case 14: p.external = r.integer() == 1; break;
      default: r.skip();
    }
  return p;
}

int64_t location_number(const Proto& p, const std::string& key, int64_t missing,
                        const std::string& file) {
  const auto it = p.location.find(key);
  if (it == p.location.end()) return missing;
  const std::string& text = it->second;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    fail("{}: tensor '{}': {} '{}' of its external data is not a number of bytes", file, p.name,
         key, text);
  return value;
}

// The mapped file of external data: inside the model's folder, also behind symbolic links.
std::shared_ptr<const MappedFile> external_file(const Proto& p, Source& source) {
  const auto it = p.location.find("location");
  const std::string location = it == p.location.end() ? "" : it->second;
  if (const auto known = source.external.find(location); known != source.external.end())
    return known->second;
  if (source.folder.empty())
    fail("{}: tensor '{}' has external data, which is not allowed here", source.path, p.name);
  const fs::path relative(location);
  std::error_code error;
  const fs::path folder = fs::canonical(source.folder, error);
  if (location.empty() || relative.is_absolute() || error)
    fail("{}: tensor '{}': its external data '{}' is not a path inside the model's folder",
         source.path, p.name, location);
  const fs::path file = fs::canonical(folder / relative, error);
  if (error)
    fail("{}: tensor '{}': cannot find its external data '{}'", source.path, p.name, location);
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  if (end != folder.end())
    fail("{}: tensor '{}': its external data '{}' is outside the model's folder", source.path,
         p.name, location);
  return source.external[location] = MappedFile::open(file.string());
}

struct Storage {
  Bytes bytes;
  std::shared_ptr<const void> owner;
};

Storage external_bytes(const Proto& p, Source& source) {
  const auto file = external_file(p, source);
  const auto size = static_cast<int64_t>(file->bytes().size());
  const int64_t offset = location_number(p, "offset", 0, source.path);
  const int64_t length =
      location_number(p, "length", std::max<int64_t>(size - offset, 0), source.path);
  if (offset > size || length > size - offset)
    fail("{}: tensor '{}': bytes {} to {}+{} are outside its external data of {} bytes",
         source.path, p.name, offset, offset, length, size);
  return {file->bytes().subspan(static_cast<size_t>(offset), static_cast<size_t>(length)), file};
}

template <class To, class From>
Storage packed(const std::vector<From>& values) {
  const auto out = std::make_shared<std::vector<To>>();
  out->reserve(values.size());
  for (const From v : values) out->push_back(static_cast<To>(v));
  return {std::as_bytes(std::span(*out)), out};
}

// The elements as they lie in memory (raw_data), whichever field holds them.
Storage storage_of(const Proto& p, ElemType elem, Source& source) {
  if (p.external) return external_bytes(p, source);
  if (p.has_raw) return {p.raw, source.owner};
  if (elem == ElemType::Float) return packed<float>(p.floats);
  if (elem == ElemType::Double) return packed<double>(p.doubles);
  if (elem == ElemType::Int64) return packed<int64_t>(p.ints64);
  if (elem == ElemType::UInt64) return packed<uint64_t>(p.uints64);
  if (elem == ElemType::UInt32) return packed<uint32_t>(p.uints64);
  const int bits = info(elem).bits;
  if (bits <= 8) return packed<uint8_t>(p.ints32);
  return bits == 16 ? packed<uint16_t>(p.ints32) : packed<int32_t>(p.ints32);
}

// Element i of sub-byte or 8-bit storage, as its carrier's value.
double stored_value(ElemType elem, Bytes bytes, int64_t i) {
  const int bits = info(elem).bits;
  const int64_t per_byte = 8 / bits;
  const auto byte = static_cast<uint32_t>(bytes[static_cast<size_t>(i / per_byte)]);
  const uint32_t pattern = (byte >> (bits * (i % per_byte))) & ((1U << bits) - 1);
  const DType type = carrier(elem);
  if (is_float(type)) return small_float_value(elem, static_cast<uint8_t>(pattern));
  const bool negative = is_signed(type) && (pattern >> (bits - 1)) != 0;
  return negative ? static_cast<double>(pattern) - (1 << bits) : pattern;
}

Tensor numbers_of(const Proto& p, ElemType elem, const Storage& s, const std::string& file) {
  const int64_t count = element_count(p.dims);
  const int bits = info(elem).bits;
  const auto has = static_cast<int64_t>(s.bytes.size());
  const int64_t per_byte = bits < 8 ? 8 / bits : 1;
  const bool fits = bits < 8 ? has == count / per_byte + (count % per_byte != 0)
                             : has % (bits / 8) == 0 && has / (bits / 8) == count;
  if (!fits)
    fail("{}: tensor '{}' has {} bytes of data, {}[{}] was expected", file, p.name, has, name(elem),
         Shape(p.dims).text());
  const DType type = carrier(elem);
  if (is_stored_only(elem)) {
    Tensor t = Tensor::empty(type, p.dims);
    for (int64_t i = 0; i < count; ++i) t.set(i, stored_value(elem, s.bytes, i));
    return t;
  }
  if (type != DType::boolean && count > 0)
    return Tensor::view(type, p.dims, s.bytes.data(), s.owner);
  Tensor t = Tensor::empty(type, p.dims);
  if (type == DType::boolean)
    for (int64_t i = 0; i < count; ++i)
      t.set_int(i, s.bytes[static_cast<size_t>(i)] != std::byte{0} ? 1 : 0);
  return t;
}

HostTensor strings_of(Proto& p, const std::string& file) {
  const int64_t count = element_count(p.dims);
  if (std::ssize(p.strings) != count)
    fail("{}: tensor '{}' has {} strings, [{}] was expected", file, p.name, p.strings.size(),
         Shape(p.dims).text());
  return {std::move(p.dims), std::move(p.strings)};
}

}  // namespace

NamedHostTensor read_tensor(WireReader r, Source& source) {
  Proto p = read_proto(r);
  const ElemType elem = elem_type(p.type);
  if (elem == ElemType::Undefined)
    fail("{}: tensor '{}' has the unknown element type {}", source.path, p.name, p.type);
  for (const int64_t d : p.dims)
    if (d < 0) fail("{}: tensor '{}' has the dim {}", source.path, p.name, d);
  try {
    element_count(p.dims);
  } catch (const Error& e) {
    fail("{}: tensor '{}': {}", source.path, p.name, e.what());
  }
  if (elem == ElemType::String) return {p.name, strings_of(p, source.path)};
  if (!info(elem).carrier)
    fail_unsupported("{}: tensor '{}': tensors of {} are not supported", source.path, p.name,
                     name(elem));
  const Storage storage = storage_of(p, elem, source);
  return {p.name, HostTensor(elem, numbers_of(p, elem, storage, source.path))};
}

NamedHostTensor read_sparse_tensor(WireReader r, Source& source) {
  NamedHostTensor values, indices;
  Dims dims;
  while (r.next()) switch (r.field()) {
      case 1: values = read_tensor(r.message(), source); break;
      case 2: indices = read_tensor(r.message(), source); break;
      case 3: r.append(dims); break;
      default: r.skip();
    }
  const auto bad = [&](const char* why) {
    fail("{}: sparse tensor '{}': {}", source.path, values.name, why);
  };
  const Tensor &v = values.tensor.numbers, &at = indices.tensor.numbers;
  if (!v.defined() || !at.defined() || at.dtype() != DType::i64 || v.rank() != 1)
    bad("its values must be a list of numbers, its indices int64");
  const bool flat = at.rank() == 1;
  if (at.rank() < 1 || at.dims()[0] != v.size() ||
      (!flat && (at.rank() != 2 || at.dims()[1] != std::ssize(dims))))
    bad("its indices do not fit its values");
  const int64_t count = element_count(dims);
  if (count > source.limits.elements - source.dense)
    throw LimitExceeded(fmt::format(
        "{}: sparse tensor '{}': [{}] makes more than {} elements dense, which is the limit",
        source.path, values.name, Shape(dims).text(), source.limits.elements));
  source.dense += count;
  Tensor out = Tensor::zeros(v.dtype(), dims);
  const Dims strides = row_major_strides(dims);
  for (int64_t i = 0; i < v.size(); ++i) {
    int64_t to = flat ? at.int_at(i) : 0;
    for (int64_t axis = 0; !flat && axis < std::ssize(dims); ++axis) {
      const int64_t index = at.int_at(i * std::ssize(dims) + axis);
      if (index < 0 || index >= dims[static_cast<size_t>(axis)])
        bad("an index is outside its dims");
      to += index * strides[static_cast<size_t>(axis)];
    }
    if (to < 0 || to >= count) bad("an index is outside its dims");
    std::memcpy(static_cast<std::byte*>(out.mutable_raw()) + to * byte_size(v.dtype()),
                static_cast<const std::byte*>(v.raw()) + i * byte_size(v.dtype()),
                static_cast<size_t>(byte_size(v.dtype())));
  }
  return {values.name, HostTensor(values.tensor.elem, std::move(out))};
}

}  // namespace lathe::onnx
