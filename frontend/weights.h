// What a model remembers: parameters and states by name.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "ir/base/tensor.h"

namespace lathe {

// Initial values are computed when they are first read, so that building a network, loading one
// and replacing its weights cost nothing that is not used (an orthogonal matrix takes the cube of
// its size). The first reading writes: one thread at a time.
class Weights {
 public:
  using Initial = std::function<Tensor()>;

  Weights() = default;
  Weights(std::map<std::string, Tensor> values) : values_(std::move(values)) {}

  void set(const std::string& name, Tensor value);
  void set_initial(const std::string& name, Initial initial);
  void erase(const std::string& name);

  bool contains(const std::string& name) const;
  const Tensor* find(const std::string& name) const;  // null where there is none
  const Tensor& at(const std::string& name) const;    // of a weight that is there
  const std::map<std::string, Tensor>& all() const;

 private:
  mutable std::map<std::string, Tensor> values_;
  mutable std::map<std::string, Initial> initial_;  // of those without a value yet
};

}  // namespace lathe
