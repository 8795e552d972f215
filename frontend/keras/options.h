// The options of one Keras layer, read by name and type. What a layer does not read must be
// neutral: an option that is not understood is refused, never ignored.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>

#include "frontend/keras/config.h"
#include "frontend/nn.h"

namespace lathe {

class KerasOptions {
 public:
  // Borrows the layer.
  KerasOptions(const KerasLayer& layer, const std::string& file, bool keras_3, nn::Mode mode);

  const std::string& name() const { return layer_.name; }
  bool keras_3() const { return keras_3_; }
  nn::Mode mode() const { return mode_; }
  const std::string& file() const { return file_; }
  // "model.json: layer 'lstm' (LSTM)", the beginning of a message.
  const std::string& place() const { return place_; }

  // Without a fallback the option must be there. JSON null counts as absent.
  bool flag(const char* key, bool fallback);
  int64_t integer(const char* key, std::optional<int64_t> fallback = {});
  double number(const char* key, std::optional<double> fallback = {});
  std::string text(const char* key, std::optional<std::string> fallback = {});
  Dims integers(const char* key, std::optional<Dims> fallback = {});  // one number is a list of one
  std::array<int64_t, 2> pair(const char* key, std::optional<std::array<int64_t, 2>> fallback = {});
  nn::Activation activation(const char* key, nn::Activation fallback);
  Initializer initializer(const char* key, const Initializer& fallback);
  nn::Padding padding();
  nn::Layout layout();
  bool trainable() { return flag("trainable", true); }
  const nlohmann::json* raw(const char* key);  // null where absent

  // Read for nothing: this option changes no result.
  void ignore(const char* key) { read_.insert(key); }
  // Refuses the option unless it is absent, null, false or zero.
  void refuse(const char* key);
  // Refuses every option that was not read and is not neutral; regularizers and constraints matter
  // in training only.
  void finish();

 private:
  [[noreturn]] void wrong(const char* key, const nlohmann::json& value, std::string_view expected);
  [[noreturn]] void unsupported(const std::string& key, const nlohmann::json& value) const;
  const nlohmann::json* find(const char* key, bool required);
  void check_dtype();

  const KerasLayer& layer_;
  std::string file_, place_;
  bool keras_3_;
  nn::Mode mode_;
  std::set<std::string> read_;
};

}  // namespace lathe
