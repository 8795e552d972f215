// JSON from files that nobody vouches for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lathe {

// Parses a whole JSON text. Refused as user errors that start with `place` (the file, and where
// in it the text stands): anything but JSON, invalid UTF-8, nesting deeper than `max_depth`, and
// a key that occurs twice in one object (two readers would disagree about its value).
nlohmann::json parse_json(std::string_view text, const std::string& place, int max_depth = 64);

// Text of unknown origin as it may appear in a message: in double quotes, control characters and
// quotes escaped, invalid UTF-8 replaced, cut after 120 bytes.
std::string quote_text(std::string_view text);

}  // namespace lathe
