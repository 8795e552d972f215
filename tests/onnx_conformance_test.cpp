// The ONNX suite in ../shared: every case passes or is refused as unsupported, by name; none is
// wrong, none crashes.
#include <doctest/doctest.h>

#include <filesystem>

#include "tests/support/paths.h"
#include "tools/outcome.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

// Fewer than this have never passed since it was written.
constexpr int kLeastPassed = 1075;

TEST_CASE("conformance cases pass or name what is unsupported") {
  const fs::path root = testing::shared_path("onnx/conformance");
  if (!fs::exists(root)) {
    MESSAGE("skipped: " << root.string() << " is not there");
    return;
  }
  tools::CheckOptions options;
  options.compute.backend = "simd";
  options.compute.threads = 1;
  int passed = 0, unsupported = 0;
  for (const fs::directory_entry& e : fs::recursive_directory_iterator(root)) {
    if (!e.is_directory() || !e.path().filename().string().starts_with("test_data_set_")) continue;
    const tools::CheckCase c{e.path().parent_path() / "model.onnx", e.path()};
    CAPTURE(c.name());
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
  CHECK(passed >= kLeastPassed);
}

}  // namespace
}  // namespace lathe
