// How variables are named in Keras' weight files.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace lathe {

// What stands before "<layer>/<weight>" in the class layouts; see KerasLayout.
inline constexpr std::string_view kByClassPrefix = "layers/";
inline constexpr std::string_view kByPositionPrefix = "_layer_checkpoint_dependencies/";

inline bool is_digits(std::string_view s) {
  return !s.empty() && std::ranges::all_of(s, [](char c) { return c >= '0' && c <= '9'; });
}

struct LayerPath {
  std::string layer;
  std::string weight;
};

// "<prefix>dense/vars/0" -> dense, vars/0
inline std::optional<LayerPath> split_layer_path(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  return LayerPath{std::string(path.substr(0, slash)), std::string(path.substr(slash + 1))};
}

}  // namespace lathe
