// Checks that a call is refused with a message that says certain things.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <initializer_list>
#include <string_view>

#include "ir/base/error.h"

namespace lathe {

inline void expect_error(const std::function<void()>& call,
                         std::initializer_list<std::string_view> parts,
                         ErrorKind kind = ErrorKind::User) {
  std::string message;
  try {
    call();
    FAIL_CHECK("no error was thrown");
    return;
  } catch (const Error& error) {
    message = error.what();
    CAPTURE(message);
    CHECK(error.kind() == kind);
  }
  CAPTURE(message);
  for (const std::string_view part : parts) {
    CAPTURE(part);
    CHECK(message.find(part) != std::string::npos);
  }
}

// True where the call succeeds, false where it is refused as the user's error or as unsupported;
// anything else fails the test.
inline bool accepts(const std::function<void()>& call) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    CHECK_MESSAGE(error.kind() != ErrorKind::Internal, error.what());
    CHECK(std::string_view(error.what()).size() > 10);
    return false;
  }
}

}  // namespace lathe
