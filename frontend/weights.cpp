#include "frontend/weights.h"

#include "ir/base/error.h"

namespace lathe {

void Weights::set(const std::string& name, Tensor value) {
  initial_.erase(name);
  values_[name] = std::move(value);
}

void Weights::set_initial(const std::string& name, Initial initial) {
  values_.erase(name);
  initial_[name] = std::move(initial);
}

void Weights::erase(const std::string& name) {
  values_.erase(name);
  initial_.erase(name);
}

bool Weights::contains(const std::string& name) const {
  return values_.contains(name) || initial_.contains(name);
}

const Tensor* Weights::find(const std::string& name) const {
  if (const auto value = values_.find(name); value != values_.end()) return &value->second;
  const auto initial = initial_.find(name);
  if (initial == initial_.end()) return nullptr;
  const Tensor& value = values_[name] = initial->second();
  initial_.erase(initial);
  return &value;
}

const Tensor& Weights::at(const std::string& name) const {
  const Tensor* value = find(name);
  LATHE_ASSERT(value != nullptr);
  return *value;
}

const std::map<std::string, Tensor>& Weights::all() const {
  while (!initial_.empty()) find(initial_.begin()->first);
  return values_;
}

}  // namespace lathe
