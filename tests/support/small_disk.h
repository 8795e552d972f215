// A file system that is soon full.
#pragma once

#include <doctest/doctest.h>
#include <sys/mount.h>

#include <string>

#include "tests/support/scratch.h"

namespace lathe::testing {

// A folder that is a file system of its own, where this process may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(int kilobytes) : size_(fmt::format("size={}k", kilobytes)) {
    mounted_ = ::mount("lathe", folder_.path().c_str(), "tmpfs", 0, size_.c_str()) == 0;
    if (!mounted_) MESSAGE("skipped: mounting a tmpfs needs the superuser");
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }

  bool mounted() const { return mounted_; }
  bool make_read_only() {
    return ::mount("lathe", folder_.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY,
                   size_.c_str()) == 0;
  }
  const ScratchFolder& folder() const { return folder_; }

 private:
  ScratchFolder folder_;
  std::string size_;
  bool mounted_ = false;
};

}  // namespace lathe::testing
