#include "ir/base/error.h"

namespace lathe {

void fail_internal(const char* file, int line, const char* condition, const std::string& message) {
  throw Error(ErrorKind::Internal,
              fmt::format("internal error at {}:{}: {} does not hold{}{}\n"
                          "This is a bug in Lathe; please report it with the command you ran.",
                          file, line, condition, message.empty() ? "" : ": ", message));
}

}  // namespace lathe
