#include "runtime/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "runtime/json.h"
#include "runtime/tensor_bytes.h"

namespace lathe {
namespace {

using Json = nlohmann::json;

// The reference implementation's own limit.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

// Indexed by DType.
constexpr std::string_view kNames[kDTypeCount] = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16",
                                                  "I8",  "U64", "U32", "U16",  "U8",  "BOOL"};

std::string_view format_name(DType t) { return kNames[static_cast<int>(t)]; }

std::optional<DType> parse_format_name(std::string_view text) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (kNames[i] == text) return static_cast<DType>(i);
  return std::nullopt;
}

struct Entry {
  std::string name;
  DType dtype = DType::f32;
  Dims dims;
  uint64_t begin = 0;  // of its bytes, from the end of the header
  uint64_t end = 0;
};

std::vector<uint64_t> read_naturals(const Json& entry, const char* key, const std::string& place) {
  const auto it = entry.find(key);
  if (it == entry.end() || !it->is_array())
    fail("{}: \"{}\" is missing; a list of numbers was expected", place, key);
  std::vector<uint64_t> out;
  for (const Json& value : *it) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t{INT64_MAX})
      fail("{}: \"{}\" holds {}; whole numbers from 0 to 2^63-1 were expected", place, key,
           quote_text(value.dump()));
    out.push_back(value.get<uint64_t>());
  }
  return out;
}

// `place` names the file and the tensor.
Entry read_entry(const std::string& name, const Json& json, uint64_t data_bytes,
                 const std::string& place) {
  if (!json.is_object())
    fail("{}: an object with dtype, shape and data_offsets was expected", place);
  const auto dtype = json.find("dtype");
  if (dtype == json.end() || !dtype->is_string())
    fail("{}: \"dtype\" is missing; a string such as \"F32\" was expected", place);
  Entry entry;
  entry.name = name;
  const auto known = parse_format_name(dtype->get_ref<const std::string&>());
  if (!known)
    fail_unsupported("{}: dtype {} is not supported; expected one of {}", place,
                     quote_text(dtype->get_ref<const std::string&>()), fmt::join(kNames, " "));
  entry.dtype = *known;
  for (const uint64_t d : read_naturals(json, "shape", place))
    entry.dims.push_back(static_cast<int64_t>(d));
  const auto offsets = read_naturals(json, "data_offsets", place);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes)
    fail("{}: data_offsets [{}] are not a range within the file's {} bytes of data", place,
         fmt::join(offsets, ","), data_bytes);
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const int64_t needed = checked_bytes(entry.dtype, entry.dims, place);
  if (entry.end - entry.begin != static_cast<uint64_t>(needed))
    fail("{}: {} of shape [{}] takes {} bytes, but data_offsets [{}] span {}", place,
         format_name(entry.dtype), fmt::join(entry.dims, ","), needed, fmt::join(offsets, ","),
         entry.end - entry.begin);
  return entry;
}

std::map<std::string, std::string> read_metadata(const Json& json, const std::string& place) {
  if (!json.is_object()) fail("{}: __metadata__ is not an object of strings", place);
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) fail("{}: __metadata__ {} is not a string", place, quote_text(key));
    out[key] = value.get<std::string>();
  }
  return out;
}

// Every byte of the data belongs to exactly one tensor, so that no file can hide content or make
// two tensors share it.
void check_ranges(const std::vector<Entry>& entries, uint64_t data_bytes,
                  const std::string& place) {
  uint64_t position = 0;
  for (const Entry& e : entries) {
    if (e.begin != position)
      fail("{}: tensor {} begins at data byte {}, expected {} ({})", place, quote_text(e.name),
           e.begin, position,
           e.begin < position ? "it overlaps the one before" : "there is a hole before it");
    position = e.end;
  }
  if (position != data_bytes)
    fail("{}: the tensors end at data byte {}, the file has {} bytes of data", place, position,
         data_bytes);
}

Json header_entry(const Entry& e) {
  return {{"dtype", format_name(e.dtype)}, {"shape", e.dims}, {"data_offsets", {e.begin, e.end}}};
}

std::string header_text(const Json& header) {
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    fail("safetensors: a tensor name or metadata entry is not valid UTF-8: {}",
         quote_text(header.dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  constexpr size_t alignment = 64;
  text.append((alignment - (8 + text.size()) % alignment) % alignment, ' ');
  if (text.size() > kMaxHeaderBytes)
    fail("safetensors: names and metadata exceed {} bytes", kMaxHeaderBytes);
  return text;
}

}  // namespace

const Tensor* SafetensorsFile::find(std::string_view name) const {
  for (const NamedTensor& t : tensors)
    if (t.name == name) return &t.tensor;
  return nullptr;
}

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes,
                                  std::shared_ptr<const void> owner, const std::string& place) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes)
    fail("{}: not a safetensors file: it has {} bytes, at least 8 were expected", place,
         bytes.size());
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  const uint64_t rest = bytes.size() - sizeof header_bytes;
  if (header_bytes > rest || header_bytes > kMaxHeaderBytes)
    fail("{}: not a safetensors file, or cut short: header length {} exceeds {}", place,
         header_bytes, std::min(rest, kMaxHeaderBytes));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof header_bytes,
                              header_bytes);
  if (!text.starts_with('{')) fail("{}: the header does not begin with '{{'", place);
  constexpr int deepest = 3;  // header, tensor, list
  const Json header = parse_json(text, place + ": header", deepest);

  SafetensorsFile file;
  std::vector<Entry> entries;
  const uint64_t data_bytes = rest - header_bytes;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") file.metadata = read_metadata(value, place);
    else
      entries.push_back(read_entry(name, value, data_bytes,
                                   fmt::format("{}: tensor {}", place, quote_text(name))));
  }
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_ranges(entries, data_bytes, place);
  const auto data = bytes.subspan(sizeof header_bytes + header_bytes);
  for (Entry& e : entries)
    file.tensors.push_back(
        {e.name, tensor_over(e.dtype, e.dims, data.subspan(e.begin, e.end - e.begin), owner,
                             fmt::format("{}: tensor {}", place, quote_text(e.name)))});
  return file;
}

SafetensorsFile read_safetensors(const std::string& path) {
  auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  return parse_safetensors(bytes, std::move(file), path);
}

void write_safetensors(FileWriter& out, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& t : tensors) order.push_back(&t);
  std::ranges::stable_sort(order, std::greater{},
                           [](const NamedTensor* t) { return byte_size(t->tensor.dtype()); });
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t position = 0;
  for (const NamedTensor* t : order) {
    if (t->name == "__metadata__" || header.contains(t->name))
      fail("safetensors: the tensor name {} is {}", quote_text(t->name),
           t->name == "__metadata__" ? "reserved" : "given twice");
    const uint64_t end = position + static_cast<uint64_t>(t->tensor.bytes());
    header[t->name] = header_entry({t->name, t->tensor.dtype(), t->tensor.dims(), position, end});
    position = end;
  }
  const std::string text = header_text(header);
  const uint64_t length = text.size();
  out.write(&length, sizeof length);
  out.write(text);
  for (const NamedTensor* t : order)
    out.write(t->tensor.raw(), static_cast<size_t>(t->tensor.bytes()));
}

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  write_file_atomically(path, [&](FileWriter& out) { write_safetensors(out, tensors, metadata); });
}

}  // namespace lathe
