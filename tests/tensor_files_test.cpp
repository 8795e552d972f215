#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "runtime/files.h"
#include "runtime/npy.h"
#include "runtime/npz.h"
#include "runtime/safetensors.h"
#include "runtime/zip_archive.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch.h"

namespace lathe {
namespace {

// Every element type, with odd sizes, a scalar and an empty tensor.
std::vector<NamedTensor> samples() {
  std::vector<NamedTensor> out;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    Tensor t = Tensor::empty(dtype, {3, 5});
    for (int64_t k = 0; k < t.size(); ++k) t.set(k, static_cast<double>(k % 2 == 0 ? k : 1));
    out.push_back({std::string(name(dtype)), t});
  }
  out.push_back({"scalar", Tensor::scalar(2.5f)});
  out.push_back({"empty", Tensor::zeros(DType::f32, {4, 0, 2})});
  out.push_back({"名字/\"x\"", Tensor::scalar(int64_t{-7})});
  return out;
}

std::span<const std::byte> bytes_of(std::string_view s) {
  return std::as_bytes(std::span(s.data(), s.size()));
}

std::string safetensors_bytes(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof length);
  return out.append(header).append(data_bytes, '\0');
}

SafetensorsFile parse_st(std::string_view s) {
  return parse_safetensors(bytes_of(s), nullptr, "f");
}
Tensor parse_array(std::string_view s) { return parse_npy(bytes_of(s), nullptr, "f"); }

std::string npy_bytes(std::string_view dict, size_t data_bytes) {
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(dict.size() & 0xff);
  out += static_cast<char>(dict.size() >> 8);
  return out.append(dict).append(data_bytes, '\1');
}

// Every prefix is refused, and no change of a few bytes does worse than be refused.
void attack(const std::string& whole, const std::function<void(std::string_view)>& parse) {
  REQUIRE(accepts([&] { parse(whole); }));
  for (size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    // A buffer of exactly this size, so that a sanitizer sees any read beyond it.
    const std::string cut(whole.data(), n);
    CHECK_FALSE(accepts([&] { parse(cut); }));
  }
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = whole;
    for (int i = 0; i < 1 + round % 4; ++i)
      changed[random() % changed.size()] = static_cast<char>(random());
    accepts([&] { parse(changed); });
  }
}

TEST_CASE("safetensors gives back every element type, the metadata and the names") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("m.safetensors");
  write_safetensors(path, samples(), {{"format", "pt"}, {"note", "十"}});
  const SafetensorsFile file = read_safetensors(path);
  CHECK(file.metadata.at("note") == "十");
  CHECK(file.tensors.size() == samples().size());
  for (const NamedTensor& t : samples()) {
    CAPTURE(t.name);
    REQUIRE(file.find(t.name) != nullptr);
    CHECK(identical(*file.find(t.name), t.tensor));
  }
  CHECK(file.find("absent") == nullptr);
  const std::string text = read_text_file(path);
  uint64_t header = 0;
  std::memcpy(&header, text.data(), sizeof header);
  CHECK((8 + header) % 64 == 0);
}

TEST_CASE("safetensors tensors are views of the file and keep it alive") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("m.safetensors");
  write_safetensors(path, {{"w", Tensor::from<float>({2}, {1, 2})}});
  Tensor w = *read_safetensors(path).find("w");
  std::filesystem::remove(path);
  CHECK(w.data<float>()[1] == 2);
  CHECK_THROWS_AS(w.mutable_raw(), Error);
}

TEST_CASE("safetensors copies a tensor that is not aligned") {
  const SafetensorsFile file =
      parse_st(safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                 R"("b":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}})",
                                 9));
  CHECK(reinterpret_cast<uintptr_t>(file.find("b")->raw()) % 8 == 0);
  CHECK(file.find("b")->at(0) == 0);
}

TEST_CASE("safetensors names what is wrong and where") {
  const auto refuse = [](std::string_view header, size_t data,
                         std::initializer_list<std::string_view> parts) {
    const std::string file = safetensors_bytes(header, data);
    expect_error([&] { parse_st(file); }, parts);
  };
  refuse(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, {"\"a\"", "8 bytes"});
  refuse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3, {"\"a\"", "3 bytes"});
  refuse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, {"end at data byte 4"});
  refuse(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, {"\"shape\"", "-1"});
  refuse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, {"[4,0]"});
  refuse(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, {"1.5"});
  refuse(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
         {"too large"});
  refuse(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, {"\"shape\" is missing"});
  refuse(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, {"\"dtype\" is missing"});
  refuse(R"({"a":[1]})", 0, {"\"a\"", "object"});
  refuse(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
         R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
         3, {"\"b\"", "overlaps"});
  refuse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2, {"\"a\"", "hole"});
  refuse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
         R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
         1, {"\"a\"", "twice"});
  refuse(R"({"__metadata__":{"a":1}})", 0, {"__metadata__", "\"a\""});
  refuse(" {}", 0, {"begin"});
  refuse(R"({"a":)" + std::string(50'000, '[') + "}", 0, {"nested deeper"});
  refuse("{", 0, {"not valid JSON"});
  std::string flag =
      safetensors_bytes(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 1);
  flag.back() = 2;
  expect_error([&] { parse_st(flag); }, {"\"a\"", "boolean", "2"});
  expect_error([] { parse_st("\xff\xff\xff\xff\xff\xff\xff\xff{}"); }, {"header length"});
  expect_error([] { parse_st(""); }, {"0 bytes"});
  const std::string fp8 =
      safetensors_bytes(R"({"a":{"dtype":"F8_E4M3","shape":[0],"data_offsets":[0,0]}})", 0);
  expect_error([&] { parse_st(fp8); }, {"F8_E4M3"}, ErrorKind::Unsupported);
}

TEST_CASE("safetensors refuses to write a name twice or one that is not UTF-8") {
  const testing::ScratchFolder folder;
  const Tensor t = Tensor::scalar(1.0f);
  const std::string path = folder.path("m");
  expect_error([&] { write_safetensors(path, {{"a", t}, {"a", t}}); }, {"\"a\"", "twice"});
  expect_error([&] { write_safetensors(path, {{"\xff", t}}); }, {"UTF-8"});
  expect_error([&] { write_safetensors(path, {{"__metadata__", t}}); }, {"reserved"});
  CHECK(folder.entries() == 0);
}

TEST_CASE("no truncation or corruption of safetensors does harm") {
  const testing::ScratchFolder folder;
  write_safetensors(folder.path("m"), {{"w", Tensor::from<float>({2, 2}, {1, 2, 3, 4})},
                                       {"b", Tensor::from<bool>({3}, {true, false, true})}});
  attack(read_text_file(folder.path("m")), [](std::string_view s) { parse_st(s); });
}

TEST_CASE("npy gives back every element type; bfloat16 comes back as its bits") {
  const testing::ScratchFolder folder;
  for (const NamedTensor& t : samples()) {
    CAPTURE(t.name);
    write_npy(folder.path("a.npy"), t.tensor);
    const Tensor back = read_npy(folder.path("a.npy"));
    CHECK(back.dims() == t.tensor.dims());
    if (t.tensor.dtype() == DType::bf16) CHECK(back.dtype() == DType::u16);
    else CHECK(identical(back, t.tensor));
  }
}

TEST_CASE("npy reads what NumPy writes") {
  const std::string dict = "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n";
  std::string fortran = npy_bytes(dict, 0);
  for (const char v : {1, 4, 2, 5, 3, 6}) fortran += {v, '\0'};
  const Tensor t = parse_array(fortran);
  CHECK(identical(t, Tensor::from<int16_t>({2, 3}, {1, 2, 3, 4, 5, 6})));
  const std::string flags = npy_bytes("{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", 3);
  const Tensor v = parse_array(flags);
  CHECK(identical(v, Tensor::from<bool>({3}, {true, true, true})));
  CHECK(parse_array(npy_bytes("{'shape': (), 'fortran_order': False, 'descr': '|u1'}", 1)).rank() ==
        0);
  std::string version2("\x93NUMPY\x02\x00", 8);
  version2 += {static_cast<char>(dict.size()), 0, 0, 0};
  CHECK(parse_array(version2 + fortran.substr(10)).dims() == Dims{2, 3});
}

TEST_CASE("npy names what is wrong and where") {
  const auto refuse = [](const std::string& dict, size_t data,
                         std::initializer_list<std::string_view> parts,
                         ErrorKind kind = ErrorKind::User) {
    const std::string file = npy_bytes(dict, data);
    expect_error([&] { parse_array(file); }, parts, kind);
  };
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 7, {"8 bytes", "has 7"});
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 9, {"8 bytes", "has 9"});
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8, {"dimension expected"});
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8, {"2^63"});
  refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 8)}", 8,
         {"too large"});
  refuse("{'descr': '<f4', 'fortran_order': False}", 8, {"keys"});
  refuse("{'descr': '<f4', 'descr': '<f4', 'shape': ()}", 4, {"each once"});
  refuse("{'descr': '<f4', 'fortran_order': 1, 'shape': ()}", 4, {"True or False"});
  refuse("{'descr': '|b1', 'fortran_order': False, 'shape': ()} x", 1, {"nothing more"});
  refuse("{'descr': '>f4', 'fortran_order': False, 'shape': ()}", 4, {">f4"},
         ErrorKind::Unsupported);
  refuse("{'descr': '|O', 'fortran_order': False, 'shape': ()}", 4, {"|O"}, ErrorKind::Unsupported);
  refuse("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", 4, {"records"},
         ErrorKind::Unsupported);
  expect_error([] { parse_array("PNG"); }, {"not an .npy file"});
  expect_error([] { parse_array(std::string_view("\x93NUMPY\x09\x00..", 10)); }, {"version 9"},
               ErrorKind::Unsupported);
  std::string flag = npy_bytes("{'descr': '|b1', 'fortran_order': True, 'shape': (1, 1)}", 1);
  flag.back() = 3;
  expect_error([&] { parse_array(flag); }, {"boolean"});
}

TEST_CASE("no truncation or corruption of npy does harm") {
  const testing::ScratchFolder folder;
  write_npy(folder.path("a.npy"), Tensor::from<float>({2, 2}, {1, 2, 3, 4}));
  attack(read_text_file(folder.path("a.npy")), [](std::string_view s) { parse_array(s); });
}

TEST_CASE("npz gives back all arrays in order, stored and deflated") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("a.npz");
  auto arrays = samples();
  std::erase_if(arrays, [](const NamedTensor& t) { return t.tensor.dtype() == DType::bf16; });
  arrays.push_back({"large", Tensor::zeros(DType::f64, {100, 100})});
  for (const bool compress : {false, true}) {
    write_npz(path, arrays, compress);
    const auto back = read_npz(path);
    REQUIRE(back.size() == arrays.size());
    for (size_t i = 0; i < back.size(); ++i) {
      CHECK(back[i].name == arrays[i].name);
      CHECK(identical(back[i].tensor, arrays[i].tensor));
    }
    CHECK((std::filesystem::file_size(path) < 20'000) == compress);
  }
  const std::string once = read_text_file(path);
  write_npz(path, arrays, true);
  CHECK(read_text_file(path) == once);
  write_npz(path, {});
  CHECK(read_npz(path).empty());
}

TEST_CASE("npz refuses foreign entries, doubled names and what is no archive") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("a.npz");
  const Tensor t = Tensor::scalar(1.0f);
  expect_error([&] { write_npz(path, {{"a", t}, {"a", t}}); }, {path, "\"a\"", "twice"});
  write_zip(path, {{"a.txt", {bytes_of("hello")}}}, false);
  expect_error([&] { read_npz(path); }, {path, "a.txt", ".npy was expected"});
  write_file_atomically(path, std::string_view("hello"));
  expect_error([&] { read_npz(path); }, {path, "not a zip archive"});
}

TEST_CASE("zip entries are limited by what the archive can hold and by the budget") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("a.zip");
  const std::string zeros(1'000'000, '\0');
  write_zip(path, {{"a", {bytes_of(zeros)}}, {"b", {bytes_of(zeros)}}}, true);
  const std::string archive = read_text_file(path);
  ZipReader reader(bytes_of(archive), "f.zip", 1'500'000);
  CHECK(reader.read("a").size() == zeros.size());
  expect_error([&] { reader.read("b"); }, {"f.zip", "\"b\"", "budget"});
}

TEST_CASE("no truncation or corruption of npz does harm") {
  const testing::ScratchFolder folder;
  for (const bool compress : {false, true}) {
    write_npz(folder.path("a.npz"), {{"a", Tensor::from<float>({2, 2}, {1, 2, 3, 4})}}, compress);
    attack(read_text_file(folder.path("a.npz")), [](std::string_view s) {
      ZipReader archive(bytes_of(s), "f");
      for (const std::string& name : archive.names()) {
        const Bytes content = archive.read(name);
        parse_npy(content, nullptr, "f");
      }
    });
  }
}

}  // namespace
}  // namespace lathe
