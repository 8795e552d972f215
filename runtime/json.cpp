#include "runtime/json.h"

#include <set>
#include <vector>

#include "ir/base/error.h"

namespace lathe {
namespace {

using Json = nlohmann::json;

// Called by the parser for each start, end, key and value.
class Guard {
 public:
  Guard(const std::string& place, int max_depth) : place_(place), max_depth_(max_depth) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > max_depth_) fail("{}: JSON is nested deeper than {} levels", place_, max_depth_);
    using enum Json::parse_event_t;
    if (event == object_start) keys_.emplace_back();
    if (event == object_end) keys_.pop_back();
    if (event == key && !keys_.back().insert(parsed.get_ref<const std::string&>()).second)
      fail("{}: JSON key {} occurs twice in one object", place_,
           quote_text(parsed.get_ref<const std::string&>()));
    return true;
  }

 private:
  const std::string& place_;
  int max_depth_;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

Json parse_json(std::string_view text, const std::string& place, int max_depth) {
  Guard guard(place, max_depth);
  try {
    return Json::parse(text.begin(), text.end(), std::ref(guard));
  } catch (const Json::exception& error) {
    fail("{}: not valid JSON: {}", place, error.what());
  }
}

std::string quote_text(std::string_view text) {
  constexpr size_t longest = 120;
  const bool cut = text.size() > longest;
  const Json value(std::string(text.substr(0, longest)));
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + (cut ? "..." : "");
}

}  // namespace lathe
