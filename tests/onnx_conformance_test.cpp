// ONNX' own suites: every case passes or is refused as unsupported, by name; none is
// wrong, none crashes.
#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include "tests/support/paths.h"
#include "tools/outcome.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

struct Suite {
  fs::path root;
  int least;                         // cases that pass: never fewer since it was written
  std::set<std::string> wrong = {};  // cases that are themselves wrong
};

void check_suite(const Suite& suite) {
  if (!fs::exists(suite.root)) {
    MESSAGE("skipped: " << suite.root.string() << " is not there");
    return;
  }
  tools::CheckOptions options;
  options.compute.backend = "simd";
  options.compute.threads = 1;
  int passed = 0, unsupported = 0;
  for (const fs::directory_entry& e : fs::recursive_directory_iterator(suite.root)) {
    if (!e.is_directory() || !e.path().filename().string().starts_with("test_data_set_")) continue;
    const tools::CheckCase c{e.path().parent_path() / "model.onnx", e.path()};
    CAPTURE(c.name());
    if (suite.wrong.contains(e.path().parent_path().filename().string())) continue;
    try {
      const tools::Outcome outcome = tools::check_onnx(c, options);
      CHECK_MESSAGE(outcome.kind == tools::Outcome::Kind::Passed, outcome.reason);
      passed += outcome.kind == tools::Outcome::Kind::Passed ? 1 : 0;
    } catch (const Error& error) {
      CHECK_MESSAGE(error.kind() == ErrorKind::Unsupported, error.what());
      ++unsupported;
    }
  }
  MESSAGE(passed << " passed, " << unsupported << " unsupported");
  CHECK(passed >= suite.least);
}

TEST_CASE("the newest suite: cases pass or name what is unsupported") {
  check_suite({testing::shared_path("onnx/conformance"), 1385});
}

TEST_CASE("Debian's suite of opset 17, package libonnx-testdata") {
  // Results of another attribute than the model's (the newest suite has the same results and
  // another model), values that were cut off instead of rounded to nearest, inputs that are not as
  // declared.
  const std::set<std::string> wrong = {"test_adam_multiple",
                                       "test_cast_FLOAT_to_BFLOAT16",
                                       "test_castlike_BFLOAT16_to_FLOAT",
                                       "test_castlike_BFLOAT16_to_FLOAT_expanded",
                                       "test_castlike_FLOAT_to_BFLOAT16",
                                       "test_castlike_FLOAT_to_BFLOAT16_expanded"};
  check_suite({"/usr/share/libonnx-testdata/data", 1066, wrong});
}

}  // namespace
}  // namespace lathe
