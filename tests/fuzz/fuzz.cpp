#include "tests/fuzz/fuzz.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace lathe {

void found(std::string_view message) {
  std::fwrite(message.data(), 1, message.size(), stderr);
  std::fputc('\n', stderr);
  std::abort();
}

bool holds(const std::function<void()>& call) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::Internal) found(error.what());
    return false;
  } catch (const std::exception& error) {
    found(std::string("an exception that is no Error: ") + error.what());
  }
}

}  // namespace lathe

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lathe::fuzz_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
