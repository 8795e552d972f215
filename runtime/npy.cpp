#include "runtime/npy.h"

#include <fmt/ranges.h>

#include <cstring>
#include <optional>

#include "runtime/files.h"
#include "runtime/json.h"
#include "runtime/tensor_bytes.h"

namespace lathe {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;

// Indexed by DType. bfloat16 is written as its bits and read back as u16.
constexpr std::string_view kDescr[kDTypeCount] = {"<f8", "<f4", "<f2", "<u2", "<i8", "<i4", "<i2",
                                                  "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"};

std::optional<DType> parse_descr(std::string_view text) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (kDescr[i] == text && static_cast<DType>(i) != DType::bf16) return static_cast<DType>(i);
  return std::nullopt;
}

// The header is a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& place) : text_(text), place_(place) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      parse_item();
      if (accept(',')) continue;
      expect('}');
      break;
    }
    skip_space();
    if (position_ != text_.size()) refuse("nothing more");
    if (!descr_ || !fortran_order_ || !dims_) refuse("the keys descr, fortran_order and shape");
  }

  const std::string& descr() const { return *descr_; }
  bool fortran_order() const { return *fortran_order_; }
  const Dims& dims() const { return *dims_; }

 private:
  void parse_item() {
    const std::string key = parse_string();
    expect(':');
    if (key == "descr" && !descr_) descr_ = parse_descr_value();
    else if (key == "fortran_order" && !fortran_order_) fortran_order_ = parse_bool();
    else if (key == "shape" && !dims_) dims_ = parse_tuple();
    else refuse("descr, fortran_order and shape, each once");
  }

  std::string parse_descr_value() {
    skip_space();
    if (position_ < text_.size() && text_[position_] == '[')
      fail_unsupported("{}: arrays of records are not supported", place_);
    return parse_string();
  }

  std::string parse_string() {
    skip_space();
    const char quote = position_ < text_.size() ? text_[position_] : '\0';
    if (quote != '\'' && quote != '"') refuse("a quoted string");
    const size_t begin = ++position_;
    const size_t end = text_.find(quote, begin);
    if (end == std::string_view::npos) refuse("a closing quote");
    position_ = end + 1;
    return std::string(text_.substr(begin, end - begin));
  }

  bool parse_bool() {
    if (accept_word("True")) return true;
    if (accept_word("False")) return false;
    refuse("True or False");
  }

  Dims parse_tuple() {
    Dims dims;
    expect('(');
    while (!accept(')')) {
      dims.push_back(parse_number());
      if (accept(',')) continue;
      expect(')');
      break;
    }
    return dims;
  }

  int64_t parse_number() {
    skip_space();
    const size_t begin = position_;
    int64_t value = 0;
    for (; position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9';
         ++position_)
      if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
          __builtin_add_overflow(value, int64_t{text_[position_] - '0'}, &value))
        refuse("a dimension below 2^63");
    if (position_ == begin) refuse("a dimension");
    accept('L');  // as Python 2 wrote long integers
    return value;
  }

  void skip_space() {
    while (position_ < text_.size() &&
           (text_[position_] == ' ' || text_[position_] == '\t' || text_[position_] == '\n'))
      ++position_;
  }
  bool accept(char c) {
    skip_space();
    const bool there = position_ < text_.size() && text_[position_] == c;
    position_ += there ? 1 : 0;
    return there;
  }
  bool accept_word(std::string_view word) {
    skip_space();
    const bool there = text_.substr(position_).starts_with(word);
    position_ += there ? word.size() : 0;
    return there;
  }
  void expect(char c) {
    if (!accept(c)) refuse(std::string("'") + c + "'");
  }
  [[noreturn]] void refuse(std::string_view expected) const {
    fail("{}: .npy header, character {}: {} expected, in {}", place_, position_, expected,
         quote_text(text_));
  }

  std::string_view text_;
  const std::string& place_;
  size_t position_ = 0;
  std::optional<std::string> descr_;
  std::optional<bool> fortran_order_;
  std::optional<Dims> dims_;
};

struct Split {
  std::string_view header;
  std::span<const std::byte> data;
};

// magic, major and minor version, header length (2 bytes in version 1, then 4), header, data
Split split_file(std::span<const std::byte> bytes, const std::string& place) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t fixed = kMagic.size() + 2;
  if (!text.starts_with(kMagic) || text.size() < fixed)
    fail("{}: not an .npy file: it does not begin with \\x93NUMPY and a version", place);
  const int major = static_cast<unsigned char>(text[kMagic.size()]);
  if (major < 1 || major > 3)
    fail_unsupported("{}: .npy version {} is not supported, only 1 to 3", place, major);
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (text.size() < fixed + length_bytes) fail("{}: the .npy file ends in its header", place);
  uint32_t length = 0;
  std::memcpy(&length, text.data() + fixed, length_bytes);
  const size_t begin = fixed + length_bytes;
  if (length > text.size() - begin)
    fail("{}: the .npy header should have {} bytes, but the file ends after {}", place, length,
         text.size() - begin);
  return {text.substr(begin, length), bytes.subspan(begin + length)};
}

// Copies a Fortran-ordered array (the first index varies fastest) to row-major order.
void to_row_major(const std::byte* from, std::byte* to, const Dims& dims, size_t element) {
  const int64_t count = element_count(dims);
  Dims source_strides(dims.size(), 1);
  for (size_t i = 1; i < dims.size(); ++i) source_strides[i] = source_strides[i - 1] * dims[i - 1];
  Dims index(dims.size(), 0);
  int64_t source = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + static_cast<size_t>(i) * element, from + static_cast<size_t>(source) * element,
                element);
    for (size_t axis = dims.size(); axis-- > 0;) {
      source += source_strides[axis];
      if (++index[axis] < dims[axis]) break;
      source -= source_strides[axis] * dims[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

Tensor parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                 const std::string& place) {
  const Split file = split_file(bytes, place);
  HeaderParser header(file.header, place);
  header.parse();
  const auto dtype = parse_descr(header.descr());
  if (!dtype)
    fail_unsupported("{}: .npy element type {} is not supported; expected one of {}", place,
                     quote_text(header.descr()), fmt::join(kDescr, " "));
  const int64_t needed = checked_bytes(*dtype, header.dims(), place);
  if (static_cast<uint64_t>(needed) != file.data.size())
    fail("{}: an array {} of shape ({}) takes {} bytes, the file has {}", place, header.descr(),
         fmt::join(header.dims(), ", "), needed, file.data.size());
  if (!header.fortran_order() || header.dims().size() < 2)
    return tensor_over(*dtype, header.dims(), file.data, std::move(owner), place);
  if (*dtype == DType::boolean) check_bools(file.data, place);
  Tensor tensor = Tensor::empty(*dtype, header.dims());
  to_row_major(file.data.data(), static_cast<std::byte*>(tensor.mutable_raw()), header.dims(),
               static_cast<size_t>(byte_size(*dtype)));
  return tensor;
}

Tensor read_npy(const std::string& path) {
  auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  return parse_npy(bytes, std::move(file), path);
}

std::string npy_header(const Tensor& tensor) {
  // A tuple of one needs its comma in Python.
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                   kDescr[static_cast<int>(tensor.dtype())],
                                   fmt::join(tensor.dims(), ", "), tensor.rank() == 1 ? "," : "");
  constexpr size_t before = 10;  // magic, version, length
  const size_t unpadded = before + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  LATHE_ASSERT(header.size() <= UINT16_MAX, "rank {}", tensor.rank());
  const auto length = static_cast<uint16_t>(header.size());
  std::string out(kMagic);
  out += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return out + header;
}

void write_npy(const std::string& path, const Tensor& tensor) {
  write_file_atomically(path, [&](FileWriter& out) {
    out.write(npy_header(tensor));
    out.write(tensor.raw(), static_cast<size_t>(tensor.bytes()));
  });
}

}  // namespace lathe
