// HTML out of running text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lathe::data {

// Tags with the name of an HTML element, comments, doctype, and scripts and styles with their
// content become a space each; character references (&amp; &#39; &#x2019;) become their character.
// What only looks like markup stays: "a < b", "<3", "<红楼>", "<sigh>", "AT&T". Codes 128-159 are
// read as Windows-1252, as browsers do.
std::string strip_markup(std::string_view text);

// The code point of "amp", "eacute", ...: the names of HTML 4, case-sensitive.
std::optional<int32_t> named_entity(std::string_view name);

}  // namespace lathe::data
