// Literals of several programs of one model, such as one for each size of its inputs.
#pragma once

#include <map>
#include <mutex>

#include "ir/base/plan.h"

namespace lathe {

// Keeps what it was given until told to forget it. Any number of threads may share.
class SharedLiterals {
 public:
  // Lets the large literals of a plan share the bytes of equal ones of earlier ones.
  void share(Plan& plan);
  // Lets go of all; who has one keeps it.
  void forget();

 private:
  Tensor shared(const Tensor& t);
  std::mutex mutex_;
  std::multimap<uint64_t, Tensor> by_sample_;
};

}  // namespace lathe
