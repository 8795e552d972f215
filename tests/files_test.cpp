#include "runtime/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include "runtime/isolate.h"
#include "runtime/json.h"
#include "runtime/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch.h"
#include "tests/support/small_disk.h"
#include "tests/support/unprivileged.h"

namespace lathe {
namespace {

TEST_CASE("a file is read back as it was written") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("a.txt");
  const std::string content("line\n\0\xff line", 12);
  write_file_atomically(path, content);
  CHECK(read_text_file(path) == content);
  const auto mapped = MappedFile::open(path);
  CHECK(mapped->text() == content);
  write_file_atomically(path, std::string_view("new"));
  CHECK(read_text_file(path) == "new");
  CHECK(mapped->text() == content);  // the old file lives as long as its mapping
  CHECK(folder.entries() == 1);
}

TEST_CASE("an empty file maps to no bytes") {
  const testing::ScratchFolder folder;
  write_file_atomically(folder.path("empty"), std::string_view(""));
  CHECK(MappedFile::open(folder.path("empty"))->bytes().empty());
  CHECK(read_text_file(folder.path("empty")).empty());
}

TEST_CASE("what is not a readable regular file is refused by name and reason") {
  const testing::ScratchFolder folder;
  const std::string missing = folder.path("missing");
  expect_error([&] { MappedFile::open(missing); }, {missing, "No such file"});
  expect_error([&] { read_text_file(missing); }, {missing, "No such file"});
  expect_error([&] { read_text_file(folder.path()); }, {"a folder", "regular file"});
  expect_error([&] { MappedFile::open("/dev/null"); }, {"/dev/null", "regular file was expected"});
  const std::string pipe = folder.path("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  expect_error([&] { MappedFile::open(pipe); }, {pipe, "regular file was expected"});
}

TEST_CASE("a text file beyond the limit is refused before it is read") {
  const testing::ScratchFolder folder;
  write_file_atomically(folder.path("long"), std::string_view("12345678"));
  expect_error([&] { read_text_file(folder.path("long"), 7); }, {"8 bytes", "at most 7"});
}

TEST_CASE("a write that cannot begin leaves nothing behind") {
  const testing::ScratchFolder folder;
  write_file_atomically(folder.path("file"), std::string_view("old"));
  const auto write = [](const std::string& path) {
    write_file_atomically(path, std::string_view("x"));
  };
  expect_error([&] { write(folder.path("file/below")); }, {"file/below", "Not a directory"});
  expect_error([&] { write(folder.path("none/below")); }, {"none/below", "No such file"});
  expect_error([&] { write(folder.path()); }, {"a folder"});
  expect_error([&] { write("/dev/null"); }, {"/dev/null", "not a regular file"});
  CHECK(folder.entries() == 1);
}

TEST_CASE("a callback that fails leaves the old file and no temporary one") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("file");
  write_file_atomically(path, std::string_view("old"));
  expect_error(
      [&] {
        write_file_atomically(path, [](FileWriter& out) {
          out.write(std::string_view("half"));
          fail("the source dried up");
        });
      },
      {"dried up"});
  CHECK(read_text_file(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("replacing a file keeps its permissions and follows a link") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("file");
  write_file_atomically(path, std::string_view("old"));
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  std::filesystem::create_symlink("file", folder.path("link"));
  write_file_atomically(folder.path("link"), std::string_view("new"));
  CHECK(std::filesystem::is_symlink(folder.path("link")));
  CHECK(read_text_file(path) == "new");
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("no permission is reported with the path") {
  const testing::ScratchFolder folder;
  const std::string path = folder.write("file", "old");
  REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
  REQUIRE(::chmod(path.c_str(), 0) == 0);
  {
    const testing::Unprivileged user;
    expect_error([&] { write_file_atomically(path, "x"); }, {path, "Permission denied"});
    expect_error([&] { read_text_file(path); }, {path, "Permission denied"});
  }
  REQUIRE(::chmod(folder.path().c_str(), 0700) == 0);
}

TEST_CASE("a write that does not fit leaves the former file") {
  const testing::ScratchFolder folder;
  const std::string path = folder.write("file", "former");
  // A limit on file size stands in for a full disk: both fail in write() with part of it written.
  expect_error(
      [&] {
        run_isolated("f", {}, [&](FileWriter&) {
          const rlimit small{4096, 4096};
          ::signal(SIGXFSZ, SIG_IGN);
          ::setrlimit(RLIMIT_FSIZE, &small);
          write_file_atomically(path, std::string(10000, 'x'));
        });
      },
      {path, "cannot write", "File too large"});
  CHECK(read_text_file(path) == "former");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a full disk keeps the old file, removes the temporary one and says so") {
  testing::SmallDisk disk(64);
  if (!disk.mounted()) return;
  const testing::ScratchFolder& folder = disk.folder();
  const std::string path = folder.path("weights.safetensors");
  write_safetensors(path, {{"w", Tensor::zeros(DType::f32, {100})}});
  expect_error([&] { write_safetensors(path, {{"w", Tensor::zeros(DType::f32, {100'000})}}); },
               {path, "No space left"});
  CHECK(folder.entries() == 1);
  CHECK(read_safetensors(path).tensors.at(0).tensor.dims() == Dims{100});
  REQUIRE(disk.make_read_only());
  expect_error([&] { write_file_atomically(path, std::string_view("x")); },
               {path, "Read-only file system"});
}

// Rewrites one file for ever, with content whose every byte depends on the round.
[[noreturn]] void write_forever(const std::string& path) {
  for (int round = 0;; ++round) {
    std::vector<int32_t> values(20'000 + static_cast<size_t>(round % 7) * 1000, round);
    const auto count = static_cast<int64_t>(values.size());
    write_safetensors(path, {{"w", Tensor::from<int32_t>({count}, values)}},
                      {{"round", std::to_string(round)}});
  }
}

TEST_CASE("a kill at any moment of a write leaves a whole file") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("checkpoint.safetensors");
  write_safetensors(path, {{"w", Tensor::from<int32_t>({1}, {0})}}, {{"round", "0"}});
  std::mt19937 random(1);
  for (int kill = 0; kill < 60; ++kill) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) write_forever(path);
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 20'000));
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    const SafetensorsFile file = read_safetensors(path);
    const int32_t round = std::atoi(file.metadata.at("round").c_str());
    REQUIRE(std::ranges::count(file.find("w")->values<int32_t>(), round) == file.find("w")->size());
  }
}

TEST_CASE("JSON is refused for repeated keys, depth and anything after it") {
  CHECK(parse_json(R"({"a": {"b": 1}, "b": 2})", "f")["a"]["b"] == 1);
  expect_error([] { parse_json(R"({"a": 1, "a": 2})", "f.json"); }, {"f.json", "\"a\"", "twice"});
  expect_error([] { parse_json(std::string(100'000, '['), "f"); }, {"nested deeper than 64"});
  expect_error([] { parse_json("{} x", "f"); }, {"f: not valid JSON"});
  expect_error([] { parse_json("\"\xff\"", "f"); }, {"f: not valid JSON"});
  expect_error([] { parse_json("", "f"); }, {"f: not valid JSON"});
}

TEST_CASE("text of unknown origin cannot break a message") {
  CHECK(quote_text("dense_1") == "\"dense_1\"");
  CHECK(quote_text("我\n\"\x1b[31m") == "\"我\\n\\\"\\u001b[31m\"");
  CHECK(quote_text("\xff").find('\xff') == std::string::npos);
  CHECK(quote_text(std::string(1000, 'a')).size() < 130);
}

TEST_CASE("isolated work gives its bytes, its errors and its crashes") {
  const IsolationLimits limits{.cpu_seconds = 1};
  const auto result =
      run_isolated("f", limits, [](FileWriter& out) { out.write(std::string_view("answer")); });
  CHECK(std::string(reinterpret_cast<const char*>(result.bytes.data()), result.bytes.size()) ==
        "answer");
  expect_error([&] { run_isolated("f", limits, [](FileWriter&) { fail("bad layer"); }); },
               {"bad layer"});
  expect_error([&] { run_isolated("f", limits, [](FileWriter&) { fail_unsupported("new"); }); },
               {"new"}, ErrorKind::Unsupported);
  expect_error([&] { run_isolated("m.h5", limits, [](FileWriter&) { ::raise(SIGSEGV); }); },
               {"m.h5", "damaged", "crashed (signal 11)"});
  expect_error(
      [&] {
        run_isolated("m.h5", limits, [](FileWriter&) {
          for (volatile bool forever = true; forever;) {
          }
        });
      },
      {"m.h5", "did not come to an end"});
}

}  // namespace
}  // namespace lathe
