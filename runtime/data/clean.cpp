#include "runtime/data/clean.h"

#include <utf8proc.h>

#include <array>
#include <vector>

#include "ir/base/error.h"
#include "runtime/data/markup.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// Lower case; blanks and control characters as 0.
constexpr auto kAscii = [] {
  std::array<char, 128> table{};
  for (int c = 0x21; c < 0x7f; ++c)
    table[static_cast<size_t>(c)] = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return table;
}();

// Collects the cleaned text; a blank is written only before the character that follows it.
class Collector {
 public:
  explicit Collector(size_t bytes) { out_.reserve(bytes); }

  void ascii(char c) {
    const char mapped = kAscii[static_cast<size_t>(c)];
    if (mapped == 0) {
      blank_ = true;
      return;
    }
    separate();
    out_.push_back(mapped);
  }

  void codepoint(int32_t c) {
    if (c < 0x80) return ascii(static_cast<char>(c));
    if (c == 0x2018 || c == 0x2019 || c == 0x02BC) return ascii('\'');
    switch (utf8proc_category(c)) {
      case UTF8PROC_CATEGORY_ZS:
      case UTF8PROC_CATEGORY_ZL:
      case UTF8PROC_CATEGORY_ZP:
      case UTF8PROC_CATEGORY_CC: blank_ = true; return;
      default: separate(); append_utf8(out_, c);
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void separate() {
    if (blank_ && !out_.empty()) out_.push_back(' ');
    blank_ = false;
  }

  std::string out_;
  bool blank_ = false;
};

// NFKC_Casefold of valid UTF-8. `buffer` is scratch.
void fold_unicode(std::string_view text, std::vector<utf8proc_int32_t>& buffer, Collector& out) {
  constexpr auto options = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  const auto decompose = [&] {
    return utf8proc_decompose(bytes, size, buffer.data(),
                              static_cast<utf8proc_ssize_t>(buffer.size()), options);
  };
  buffer.resize(std::max(buffer.size(), text.size() + 64));
  auto count = decompose();
  if (count > static_cast<utf8proc_ssize_t>(buffer.size())) {
    buffer.resize(static_cast<size_t>(count));
    count = decompose();
  }
  if (count >= 0) count = utf8proc_normalize_utf32(buffer.data(), count, options);
  LATHE_ASSERT(count >= 0, "utf8proc: {}", utf8proc_errmsg(count));
  for (utf8proc_ssize_t i = 0; i < count; ++i) out.codepoint(buffer[static_cast<size_t>(i)]);
}

std::string fold(std::string_view text) {
  Collector out(text.size());
  std::vector<utf8proc_int32_t> buffer;
  size_t i = 0;
  while (i < text.size()) {
    if (is_ascii(text[i]) && (i + 1 == text.size() || is_ascii(text[i + 1]))) {
      out.ascii(text[i++]);
      continue;
    }
    // An ASCII letter belongs to the combining marks that follow it; none composes with the one
    // before it, so the stretch may end there.
    size_t end = i + 1;
    while (end < text.size() && !is_ascii(text[end])) ++end;
    fold_unicode(text.substr(i, end - i), buffer, out);
    i = end;
  }
  return out.take();
}

}  // namespace

std::string clean_text(std::string_view text) {
  std::string valid;
  if (ascii_prefix(text) != text.size()) {
    valid = text;
    replace_invalid_utf8(valid);
    text = valid;
  }
  if (text.find_first_of("<&") == std::string_view::npos) return fold(text);
  return fold(strip_markup(text));
}

}  // namespace lathe::data
