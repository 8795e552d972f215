#include "runtime/train/run_config.h"

#include <charconv>
#include <cmath>

#include "runtime/json.h"

namespace lathe::train {
namespace {

using nlohmann::json;

constexpr std::string_view kHeader = "epoch,loss,accuracy,val_loss,val_accuracy,seconds";
constexpr int kVersion = 1;

// One object of the configuration, read key by key with checks.
class Section {
 public:
  Section(const json& value, std::string place) : value_(value), place_(std::move(place)) {
    if (!value_.is_object()) fail("{} is {}, expected an object", place_, value_.type_name());
  }

  Section section(const char* key) const {
    return {at(key), fmt::format("{}: \"{}\"", place_, key)};
  }

  int64_t integer(const char* key, int64_t low, int64_t high) const {
    const json& v = at(key);
    if (!v.is_number_integer() || v.get<double>() < static_cast<double>(low) ||
        v.get<double>() > static_cast<double>(high))
      wrong(key, fmt::format("a whole number from {} to {}", low, high));
    return v.get<int64_t>();
  }

  double positive(const char* key) const {
    const json& v = at(key);
    if (!v.is_number() || !std::isfinite(v.get<double>()) || v.get<double>() <= 0)
      wrong(key, "a number above 0");
    return v.get<double>();
  }

  std::string text(const char* key) const {
    const json& v = at(key);
    if (!v.is_string()) wrong(key, "a string");
    return v.get<std::string>();
  }

  uint64_t seed(const char* key) const {
    const json& v = at(key);
    if (!v.is_number_unsigned()) wrong(key, "a whole number, not negative");
    return v.get<uint64_t>();
  }

  data::Side side(const char* key) const {
    const std::string value = text(key);
    if (value != "pre" && value != "post") wrong(key, "\"pre\" or \"post\"");
    return value == "pre" ? data::Side::Pre : data::Side::Post;
  }

  std::vector<std::string> texts(const char* key) const {
    const json& v = at(key);
    std::vector<std::string> out;
    if (!v.is_array() || v.size() < 2) wrong(key, "a list of two or more strings");
    for (const json& item : v) {
      if (!item.is_string()) wrong(key, "a list of two or more strings");
      out.push_back(item.get<std::string>());
    }
    return out;
  }

 private:
  const json& at(const char* key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) fail("{}: \"{}\" is missing", place_, key);
    return *found;
  }

  [[noreturn]] void wrong(const char* key, const std::string& expected) const {
    fail("{}: \"{}\" is {}, expected {}", place_, key, quote_text(at(key).dump(-1, ' ', true)),
         expected);
  }

  const json& value_;
  std::string place_;
};

std::string_view side_name(data::Side side) { return side == data::Side::Pre ? "pre" : "post"; }

constexpr int64_t kMost = int64_t{1} << 40;

TextOptions parse_text(const Section& s) {
  TextOptions t;
  t.maxlen = s.integer("maxlen", 1, 1 << 24);
  t.vocab = s.integer("vocab", 3, 1 << 30);
  t.pad.padding = s.side("padding");
  t.pad.truncating = s.side("truncating");
  return t;
}

TrainingOptions parse_training(const Section& s) {
  TrainingOptions t;
  t.optimizer = s.text("optimizer");
  t.loss = s.text("loss");
  t.fit.learning_rate = s.positive("learning_rate");
  t.fit.epochs = s.integer("epochs", 1, kMost);
  t.fit.batch = s.integer("batch", 1, kMost);
  t.fit.seed = s.seed("seed");
  t.examples = s.integer("examples", 1, kMost);
  return t;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (size_t end; (end = text.find(separator)) != std::string_view::npos;
       text.remove_prefix(end + 1))
    out.push_back(text.substr(0, end));
  out.push_back(text);
  return out;
}

EpochRecord parse_record(std::string_view line, const std::string& place) {
  const std::vector<std::string_view> fields = split(line, ',');
  if (fields.size() != 6) fail("{}: {} columns, expected 6: {}", place, fields.size(), kHeader);
  const std::vector<std::string_view> names = split(kHeader, ',');
  const auto number = [&](size_t i) {
    double value = 0;
    const char* end = fields[i].data() + fields[i].size();
    const auto [at, error] = std::from_chars(fields[i].data(), end, value);
    if (error != std::errc() || at != end || !std::isfinite(value))
      fail("{}: {} is {}, expected a number", place, names[i], quote_text(fields[i]));
    return value;
  };
  EpochRecord r;
  r.epoch = static_cast<int64_t>(number(0));
  r.training = {number(1), number(2)};
  if (!fields[3].empty() || !fields[4].empty()) r.validation = Metrics{number(3), number(4)};
  r.seconds = number(5);
  return r;
}

}  // namespace

std::string print_config(const RunConfig& config) {
  const FitOptions& fit = config.training.fit;
  const nlohmann::ordered_json out = {{"format", "lathe run"},
                                      {"version", kVersion},
                                      {"text",
                                       {{"maxlen", config.text.maxlen},
                                        {"vocab", config.text.vocab},
                                        {"padding", side_name(config.text.pad.padding)},
                                        {"truncating", side_name(config.text.pad.truncating)}}},
                                      {"labels", config.labels},
                                      {"training",
                                       {{"optimizer", config.training.optimizer},
                                        {"loss", config.training.loss},
                                        {"learning_rate", fit.learning_rate},
                                        {"epochs", fit.epochs},
                                        {"batch", fit.batch},
                                        {"seed", fit.seed},
                                        {"examples", config.training.examples}}}};
  return out.dump(2) + "\n";
}

RunConfig parse_config(std::string_view text, const std::string& place) {
  const json parsed = parse_json(text, place);
  const Section top(parsed, place);
  if (top.text("format") != "lathe run")
    fail("{}: \"format\" is {}, expected \"lathe run\"", place, quote_text(top.text("format")));
  const int64_t version = top.integer("version", 1, kMost);
  if (version > kVersion)
    fail_unsupported("{}: version {} of the format; this build reads up to version {}", place,
                     version, kVersion);
  return {parse_text(top.section("text")), top.texts("labels"),
          parse_training(top.section("training"))};
}

std::string print_history(const std::vector<EpochRecord>& history) {
  std::string out = fmt::format("{}\n", kHeader);
  for (const EpochRecord& r : history) {
    const std::string validation =
        r.validation ? fmt::format("{:.6f},{:.6f}", r.validation->loss, r.validation->accuracy)
                     : ",";
    out += fmt::format("{},{:.6f},{:.6f},{},{:.3f}\n", r.epoch, r.training.loss,
                       r.training.accuracy, validation, r.seconds);
  }
  return out;
}

std::vector<EpochRecord> parse_history(std::string_view text, const std::string& place) {
  std::vector<EpochRecord> out;
  int64_t line_number = 0;
  for (std::string_view line : split(text, '\n')) {
    const std::string line_place = fmt::format("{}:{}", place, ++line_number);
    if (line_number == 1) {
      if (line != kHeader) fail("{}: {}, expected {}", line_place, quote_text(line), kHeader);
      continue;
    }
    if (line.empty()) continue;
    out.push_back(parse_record(line, line_place));
    if (out.back().epoch != std::ssize(out))
      fail("{}: epoch {}, expected {}", line_place, out.back().epoch, out.size());
  }
  return out;
}

}  // namespace lathe::train
