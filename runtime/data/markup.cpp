#include "runtime/data/markup.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

// Elements of HTML 4 and 5 that turn up in scraped text, in bytewise order.
constexpr std::string_view kElements[] = {
    "a",      "abbr",     "acronym",    "address", "article", "aside",    "audio",    "b",
    "base",   "big",      "blockquote", "body",    "br",      "button",   "canvas",   "caption",
    "center", "cite",     "code",       "col",     "dd",      "del",      "details",  "dfn",
    "dir",    "div",      "dl",         "dt",      "em",      "embed",    "fieldset", "figcaption",
    "figure", "font",     "footer",     "form",    "frame",   "frameset", "h1",       "h2",
    "h3",     "h4",       "h5",         "h6",      "head",    "header",   "hr",       "html",
    "i",      "iframe",   "img",        "input",   "ins",     "kbd",      "label",    "legend",
    "li",     "link",     "main",       "map",     "mark",    "meta",     "nav",      "noscript",
    "object", "ol",       "option",     "p",       "param",   "pre",      "q",        "s",
    "samp",   "script",   "section",    "select",  "small",   "source",   "span",     "strike",
    "strong", "style",    "sub",        "summary", "sup",     "svg",      "table",    "tbody",
    "td",     "template", "textarea",   "tfoot",   "th",      "thead",    "time",     "title",
    "tr",     "tt",       "u",          "ul",      "var",     "video",    "wbr"};
static_assert(std::is_sorted(std::begin(kElements), std::end(kElements)));

constexpr int32_t kWindows1252[32] = {
    0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

constexpr size_t kMaxTag = 2048;  // longer than any real tag; keeps a stray '<' cheap

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool starts_with_any_case(std::string_view text, std::string_view lower_prefix) {
  return text.size() >= lower_prefix.size() &&
         std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                    [](char p, char t) { return p == lower(t); });
}

size_t through(std::string_view text, std::string_view end, size_t from) {
  const size_t at = text.find(end, from);
  return at == std::string_view::npos ? 0 : at + end.size();
}

// The element's name in lower case if text begins with a tag of a known element, else empty.
std::string element_name(std::string_view text) {
  size_t at = text.substr(1, 1) == "/" ? 2 : 1;
  std::string name;
  for (; at < text.size() && name.size() < 12 && (is_alpha(text[at]) || is_digit(text[at])); ++at)
    name.push_back(lower(text[at]));
  const bool ends =
      at < text.size() && std::string_view(" \t\r\n/>").find(text[at]) != std::string_view::npos;
  return ends && std::binary_search(std::begin(kElements), std::end(kElements), name) ? name : "";
}

// The end of the content of a script or style: behind its closing tag.
size_t content_end(std::string_view text, size_t from, std::string_view name) {
  const std::string closing = fmt::format("</{}", name);
  for (size_t at = from; (at = text.find("</", at)) != std::string_view::npos; at += 2)
    if (starts_with_any_case(text.substr(at), closing)) return through(text, ">", at);
  return 0;
}

// Length of the markup that `text` (from a '<' on) begins with; 0 if it is none.
size_t markup_length(std::string_view text) {
  if (text.starts_with("<!--")) return through(text, "-->", 4);
  const std::string_view head = text.substr(0, kMaxTag);
  if (starts_with_any_case(head, "<!doctype")) return through(head, ">", 0);
  const std::string name = element_name(head);
  if (name.empty()) return 0;
  const size_t end = through(head, ">", 1);
  if (end == 0 || head.substr(1, end - 1).find('<') != std::string_view::npos) return 0;
  if ((name == "script" || name == "style") && head[1] != '/')
    return std::max(end, content_end(text, end, name));
  return end;
}

std::optional<int32_t> numeric_reference(std::string_view digits) {
  const bool hex = digits.starts_with('x') || digits.starts_with('X');
  if (hex) digits.remove_prefix(1);
  uint32_t code = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (code >= 128 && code < 160) return kWindows1252[code - 128];
  if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return kReplacement;
  return static_cast<int32_t>(code);
}

// Appends the character that the reference at the start of `text` (from '&' on) stands for;
// returns its length, 0 if it is none.
size_t append_reference(std::string_view text, std::string& out) {
  const size_t end = text.substr(0, 12).find(';');
  if (end == std::string_view::npos) return 0;
  const std::string_view name = text.substr(1, end - 1);
  const auto code = name.starts_with('#') ? numeric_reference(name.substr(1)) : named_entity(name);
  if (!code) return 0;
  append_utf8(out, *code);
  return end + 1;
}

}  // namespace

std::string strip_markup(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t special = std::min(text.find_first_of("<&"), text.size());
    out.append(text, 0, special);
    text.remove_prefix(special);
    if (text.empty()) break;
    const bool tag = text[0] == '<';
    size_t length = tag ? markup_length(text) : append_reference(text, out);
    if (length == 0) {
      out.push_back(text[0]);
      length = 1;
    } else if (tag) {
      out.push_back(' ');
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace lathe::data
