// Padding, orders, data sets, background batches, IDX.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "ir/base/philox.h"
#include "runtime/data/batches.h"
#include "runtime/data/idx.h"
#include "runtime/data/shuffle.h"
#include "tests/support/scratch.h"

using namespace lathe;
using namespace lathe::data;
using lathe::testing::check_names;
using lathe::testing::error_of;
using lathe::testing::ScratchFolder;

namespace {

using Ids = std::vector<int32_t>;

Ids padded(const Ids& sequence, size_t maxlen, const PadOptions& options = {}) {
  Ids out(maxlen, -9);
  pad_sequence(sequence, out, options);
  return out;
}

// n examples; example i holds i + 1 tokens of value 10 i, labels alternate.
Dataset counted_dataset(int n) {
  Dataset data;
  for (int i = 0; i < n; ++i) data.add(Ids(static_cast<size_t>(i + 1), 10 * i), i % 2);
  return data;
}

// The last token of each example, batch by batch.
std::vector<Ids> drain(Batches& batches) {
  std::vector<Ids> out;
  while (auto batch = batches.next()) {
    const int64_t width = batch->inputs.dims()[1];
    Ids last;
    for (int64_t r = 0; r < batch->size(); ++r)
      last.push_back(batch->inputs.data<int32_t>()[(r + 1) * width - 1]);
    out.push_back(last);
  }
  return out;
}

// Produces 0, 1, ... and counts the calls; throws in place of item `fails_at`.
struct Counting {
  std::atomic<int>& calls;
  int items;
  int fails_at = -1;
  std::optional<int> operator()() const {
    const int i = calls++;
    if (i == fails_at) throw std::runtime_error("item " + std::to_string(i));
    return i < items ? std::optional(i) : std::nullopt;
  }
};

std::string idx_bytes(uint8_t type, const std::vector<uint32_t>& dims, const std::string& content) {
  std::string out = {0, 0, static_cast<char>(type), static_cast<char>(dims.size())};
  for (const uint32_t d : dims)
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(d >> shift));
  return out + content;
}

}  // namespace

TEST_CASE("pad_sequences has keras' four combinations") {
  const Ids three = {1, 2, 3};
  CHECK(padded(three, 5) == Ids{0, 0, 1, 2, 3});
  CHECK(padded(three, 2) == Ids{2, 3});
  CHECK(padded(three, 3) == three);
  CHECK(padded(three, 5, {.padding = Side::Post, .value = 7}) == Ids{1, 2, 3, 7, 7});
  CHECK(padded(three, 2, {.truncating = Side::Post}) == Ids{1, 2});
  CHECK(padded(three, 2, {.padding = Side::Post}) == Ids{2, 3});
  CHECK(padded({}, 2) == Ids{0, 0});
  CHECK(padded(three, 0).empty());
}

TEST_CASE("pad_sequences without a length takes the longest") {
  const std::vector<Ids> sequences = {{1}, {1, 2, 3}, {}};
  const Tensor t = pad_sequences(sequences);
  CHECK(identical(t, Tensor::from<int32_t>({3, 3}, {0, 0, 1, 1, 2, 3, 0, 0, 0})));
  CHECK(identical(pad_sequences(sequences, 1), Tensor::from<int32_t>({3, 1}, {1, 3, 0})));
  CHECK(pad_sequences({}, 4).dims() == Dims{0, 4});
}

TEST_CASE("philox gives the known answers of its authors") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a shuffled order is a permutation that depends on seed and epoch only") {
  const auto order = shuffled_order(1000, 1, 0);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> identity(1000);
  std::iota(identity.begin(), identity.end(), 0);
  CHECK(sorted == identity);
  CHECK(order != identity);
  CHECK(order == shuffled_order(1000, 1, 0));
  CHECK(order != shuffled_order(1000, 1, 1));
  CHECK(order != shuffled_order(1000, 2, 0));
  CHECK(shuffled_order(0, 1, 0).empty());
  // Written down once: a change of the order would change every trained model.
  CHECK(shuffled_order(8, 42, 3) == std::vector<int64_t>{1, 4, 5, 0, 6, 7, 3, 2});
}

TEST_CASE("all permutations of three are about equally likely") {
  std::vector<int> counts(27, 0);
  for (uint64_t epoch = 0; epoch < 6000; ++epoch) {
    const auto o = shuffled_order(3, 5, epoch);
    ++counts[static_cast<size_t>(o[0] * 9 + o[1] * 3 + o[2])];
  }
  for (const int count : counts)
    if (count != 0) CHECK(std::abs(count - 1000) < 150);  // five standard deviations
  CHECK(std::count(counts.begin(), counts.end(), 0) == 21);
}

TEST_CASE("a data set keeps ragged sequences") {
  Dataset data = counted_dataset(3);
  data.add({}, 2);
  CHECK(data.size() == 4);
  CHECK(data.tokens(1).size() == 2);
  CHECK(data.tokens(2)[0] == 20);
  CHECK(data.tokens(3).empty());
  CHECK(data.label(1) == 1);
  CHECK(data.max_label() == 2);
  CHECK(data.longest() == 3);
  CHECK(data.token_count() == 6);
  CHECK(Dataset().max_label() == -1);
  CHECK_THROWS_AS(data.tokens(4), Error);
}

TEST_CASE("texts are encoded with their class") {
  LabelledTexts texts{"x", {}, 0};
  texts.examples = {{"a b", "pos", "x:1"}, {"", "neg", "x:2"}};
  const LabelMap labels({"neg", "pos"});
  const Dataset data = encode(
      texts, labels, [](std::string_view text) { return Ids{static_cast<int32_t>(text.size())}; });
  CHECK(data.label(0) == 1);
  CHECK(data.tokens(0)[0] == 3);
  CHECK(data.label(1) == 0);
}

TEST_CASE("batches keep the partial last one and their order without shuffle") {
  const Dataset data = counted_dataset(7);
  for (const int prefetch : {0, 1, 5}) {
    Batches batches(data.size(), text_batches(data, 4, LabelForm::Binary),
                    {.batch = 3, .shuffle = false, .prefetch = prefetch});
    CHECK(batches.count() == 3);
    CHECK(drain(batches) == std::vector<Ids>{{0, 10, 20}, {30, 40, 50}, {60}});
    CHECK_FALSE(batches.next().has_value());
  }
}

TEST_CASE("a text batch has padded tokens and labels in either form") {
  const Dataset data = counted_dataset(3);
  const auto one = [&](LabelForm form) {
    return *Batches(3, text_batches(data, 2, form), {.batch = 3, .shuffle = false}).next();
  };
  const Batch binary = one(LabelForm::Binary);
  CHECK(identical(binary.inputs, Tensor::from<int32_t>({3, 2}, {0, 0, 10, 10, 20, 20})));
  CHECK(identical(binary.labels, Tensor::from<float>({3, 1}, {0, 1, 0})));
  CHECK(identical(one(LabelForm::ClassIds).labels, Tensor::from<int32_t>({3}, {0, 1, 0})));
}

TEST_CASE("shuffled epochs differ, repeat by seed and hold each example once") {
  const Dataset data = counted_dataset(50);
  const auto epoch = [&](uint64_t seed, uint64_t number, int prefetch) {
    Batches batches(data.size(), text_batches(data, 8, LabelForm::Binary),
                    {.batch = 8, .seed = seed, .prefetch = prefetch}, number);
    Ids all;
    for (const Ids& batch : drain(batches)) all.insert(all.end(), batch.begin(), batch.end());
    return all;
  };
  const Ids first = epoch(1, 0, 2);
  CHECK(first == epoch(1, 0, 0));
  CHECK(first != epoch(1, 1, 2));
  CHECK(first != epoch(2, 0, 2));
  Ids sorted = first;
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 50; ++i) CHECK(sorted[static_cast<size_t>(i)] == 10 * i);
}

TEST_CASE("an empty data set has no batches") {
  const Dataset data;
  Batches batches(0, text_batches(data, 4, LabelForm::Binary), {});
  CHECK(batches.count() == 0);
  CHECK_FALSE(batches.next().has_value());
}

TEST_CASE("batch settings that cannot work are refused") {
  Dataset data = counted_dataset(2);
  check_names(error_of([&] { text_batches(data, 0, LabelForm::Binary); }), {"length 0"});
  check_names(error_of([&] { Batches(2, text_batches(data, 1, LabelForm::Binary), {.batch = 0}); }),
              {"batch size 0"});
  data.add({}, 2);
  check_names(error_of([&] { text_batches(data, 4, LabelForm::Binary); }),
              {"3 classes", "expected 2"});
  check_names(error_of([] {
                tensor_batches(Tensor::zeros(DType::f32, {3, 2}), Tensor::zeros(DType::i32, {2}));
              }),
              {"f32[3,2]", "i32[2]", "expected"});
}

TEST_CASE("tensor batches gather rows of any type") {
  const Tensor images = Tensor::from<uint8_t>({3, 2}, {0, 1, 10, 11, 20, 21});
  const Tensor labels = Tensor::from<int32_t>({3}, {5, 6, 7});
  Batches batches(3, tensor_batches(images, labels), {.batch = 2, .shuffle = false});
  CHECK(identical(batches.next()->inputs, Tensor::from<uint8_t>({2, 2}, {0, 1, 10, 11})));
  const Batch last = *batches.next();
  CHECK(identical(last.inputs, Tensor::from<uint8_t>({1, 2}, {20, 21})));
  CHECK(identical(last.labels, Tensor::from<int32_t>({1}, {7})));
}

TEST_CASE("a prefetcher hands out all items in order and then nothing") {
  for (const size_t depth : {0u, 1u, 3u, 100u}) {
    std::atomic<int> calls = 0;
    Prefetcher<int> items(Counting{calls, 20}, depth);
    for (int i = 0; i < 20; ++i) CHECK(items.next() == i);
    CHECK_FALSE(items.next().has_value());
    CHECK_FALSE(items.next().has_value());
    CHECK(calls == 21);
  }
}

TEST_CASE("a prefetcher works ahead by its depth and no further") {
  std::atomic<int> calls = 0;
  Prefetcher<int> items(Counting{calls, 1000}, 3);
  for (int i = 0; i < 1000 && calls < 3; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(calls == 3);
  CHECK(items.next() == 0);
}

TEST_CASE("without depth there is no thread") {
  std::thread::id producer;
  Prefetcher<int> items(
      [&]() -> std::optional<int> {
        producer = std::this_thread::get_id();
        return 1;
      },
      0);
  CHECK(items.next() == 1);
  CHECK(producer == std::this_thread::get_id());
}

TEST_CASE("an exception reaches the consumer after the items before it") {
  for (const size_t depth : {0u, 1u, 10u}) {
    std::atomic<int> calls = 0;
    Prefetcher<int> items(Counting{calls, 20, 2}, depth);
    CHECK(items.next() == 0);
    CHECK(items.next() == 1);
    CHECK_THROWS_WITH(items.next(), "item 2");
    CHECK_FALSE(items.next().has_value());
    CHECK(calls == 3);
  }
}

TEST_CASE("a prefetcher can be dropped at any time") {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> calls = 0;
    Prefetcher<int> items(Counting{calls, 50, round % 7 == 0 ? 5 : -1}, 1 + round % 4);
    for (int i = 0; i < round % 5; ++i) CHECK(items.next() == i);
  }
}

TEST_CASE("an error in a background batch is thrown by next") {
  Batches batches(10, [](std::span<const int64_t>) -> Batch { fail("no such example"); },
                  {.batch = 2});
  CHECK(error_of([&] { batches.next(); }) == "no such example");
  CHECK_FALSE(batches.next().has_value());
}

TEST_CASE("idx tensors of all types are read, plain and gzip") {
  const ScratchFolder dir;
  using namespace std::string_literals;
  CHECK(identical(read_idx(dir.write("u8", idx_bytes(0x08, {2, 2}, "\1\2\3\4"s))),
                  Tensor::from<uint8_t>({2, 2}, {1, 2, 3, 4})));
  CHECK(identical(read_idx(dir.write_gzip("i16.gz", idx_bytes(0x0B, {2}, "\xFF\xFE\1\0"s))),
                  Tensor::from<int16_t>({2}, {-2, 256})));
  CHECK(identical(read_idx(dir.write("i32", idx_bytes(0x0C, {1}, "\0\1\0\2"s))),
                  Tensor::from<int32_t>({1}, {65538})));
  CHECK(identical(read_idx(dir.write("f32", idx_bytes(0x0D, {1}, "\x3F\xC0\0\0"s))),
                  Tensor::from<float>({1}, {1.5f})));
  CHECK(identical(read_idx(dir.write("f64", idx_bytes(0x0E, {1}, "\xC0\4\0\0\0\0\0\0"s))),
                  Tensor::from<double>({1}, {-2.5})));
  CHECK(read_idx(dir.write("none", idx_bytes(0x09, {0, 3}, ""))).dims() == Dims{0, 3});
}

TEST_CASE("bad idx files are named") {
  const ScratchFolder dir;
  const auto read = [&](const std::string& bytes) {
    return error_of([&] { read_idx(dir.write("x.idx", bytes)); });
  };
  check_names(read(""), {"x.idx", "magic"});
  check_names(read("\x89PNG"), {"x.idx", "byte 0", "magic", "expected"});
  check_names(read(idx_bytes(0x0A, {1}, "a")), {"x.idx", "byte 2", "0x0a", "expected"});
  check_names(read(idx_bytes(0x08, {2, 3}, "").substr(0, 9)), {"9 bytes", "header of 12"});
  check_names(read(idx_bytes(0x08, {2, 3}, "abcde")), {"5 bytes", "expected 6", "[2,3] of u8"});
  check_names(read(idx_bytes(0x08, {2}, "abc")), {"3 bytes", "expected 2"});
  check_names(read(idx_bytes(0x0E, std::vector<uint32_t>(255, ~0u), "a")), {"more than 8 GiB"});
}

TEST_CASE("images and labels must belong together") {
  const ScratchFolder dir;
  const auto images =
      dir.write("images", idx_bytes(0x08, {2, 1, 2}, std::string("\0\xFF\x33\0", 4)));
  const auto labels = dir.write("labels", idx_bytes(0x08, {2}, "\7\1"));
  const auto both = read_idx_images(images, labels);
  CHECK(identical(both.images, Tensor::from<float>({2, 1, 2, 1}, {0, 1, 0.2f, 0})));
  CHECK(identical(both.labels, Tensor::from<int32_t>({2}, {7, 1})));
  check_names(error_of([&] { read_idx_images(labels, labels); }), {"labels", "u8[2]", "images"});
  check_names(error_of([&] { read_idx_images(images, images); }), {"images", "u8[2,1,2]"});
  const auto three = dir.write("three", idx_bytes(0x08, {3}, "\1\2\3"));
  check_names(error_of([&] { read_idx_images(images, three); }), {"three", "3 labels", "2"});
}
