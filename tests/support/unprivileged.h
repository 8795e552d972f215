// Tests of permissions that mean something for the superuser too, to whom no file is closed.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

namespace lathe::testing {

// Steps down from the superuser to one who owns nothing while it lives; no change for others.
class Unprivileged {
 public:
  Unprivileged() : superuser_(::geteuid() == 0) {
    constexpr uid_t kNobody = 65534;
    if (superuser_) REQUIRE(::seteuid(kNobody) == 0);
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;
  ~Unprivileged() {
    if (superuser_ && ::seteuid(0) != 0) ::_exit(1);
  }

 private:
  bool superuser_;
};

}  // namespace lathe::testing
