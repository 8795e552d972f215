// Memory for the temporaries of runs, shared by executables of which one runs at a time (the stages
// and batch sizes of one model): as large as the largest of them needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace lathe {

class Arena {
 public:
  // At least `bytes`, 64-byte aligned; contents are lost where it grows. Out of memory is a user
  // error.
  std::byte* at_least(int64_t bytes);
  int64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<void> memory_;
  int64_t bytes_ = 0;
};

}  // namespace lathe
