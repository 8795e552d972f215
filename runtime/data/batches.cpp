#include "runtime/data/batches.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/data/shuffle.h"

namespace lathe::data {
namespace {

std::vector<int64_t> order_of(int64_t examples, const BatchOptions& options, uint64_t epoch) {
  if (options.shuffle) return shuffled_order(examples, options.seed, epoch);
  std::vector<int64_t> order(static_cast<size_t>(examples));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

int64_t checked_batch(int64_t batch) {
  if (batch < 1) fail("batch size {}; expected 1 or more", batch);
  return batch;
}

Tensor labels_of(const Dataset& dataset, std::span<const int64_t> examples, LabelForm form) {
  const auto n = static_cast<int64_t>(examples.size());
  const bool binary = form == LabelForm::Binary;
  Tensor labels = binary ? Tensor::empty(DType::f32, {n, 1}) : Tensor::empty(DType::i32, {n});
  for (int64_t r = 0; r < n; ++r) {
    const int32_t label = dataset.label(examples[static_cast<size_t>(r)]);
    if (binary) labels.mutable_data<float>()[r] = static_cast<float>(label);
    else labels.mutable_data<int32_t>()[r] = label;
  }
  return labels;
}

Tensor gather_rows(const Tensor& from, std::span<const int64_t> rows) {
  Dims dims = from.dims();
  const int64_t stride = dims[0] == 0 ? 0 : from.bytes() / dims[0];
  dims[0] = static_cast<int64_t>(rows.size());
  Tensor out = Tensor::empty(from.dtype(), dims);
  auto* to = static_cast<char*>(out.mutable_raw());
  for (const int64_t row : rows) {
    LATHE_ASSERT(row >= 0 && row < from.dims()[0], "row {} of {}", row, from.type_text());
    std::memcpy(to, static_cast<const char*>(from.raw()) + row * stride,
                static_cast<size_t>(stride));
    to += stride;
  }
  return out;
}

}  // namespace

BatchMaker text_batches(const Dataset& dataset, int64_t maxlen, LabelForm form,
                        const PadOptions& options) {
  if (maxlen < 1) fail("maximum length {}; expected 1 or more tokens", maxlen);
  if (form == LabelForm::Binary && dataset.max_label() > 1)
    fail("the data has {} classes; expected 2 for a model with one output",
         dataset.max_label() + 1);
  return [&dataset, maxlen, form, options](std::span<const int64_t> examples) {
    Tensor tokens = Tensor::empty(DType::i32, {static_cast<int64_t>(examples.size()), maxlen});
    int32_t* row = tokens.mutable_data<int32_t>();
    for (const int64_t example : examples) {
      pad_sequence(dataset.tokens(example), {row, static_cast<size_t>(maxlen)}, options);
      row += maxlen;
    }
    return Batch{std::move(tokens), labels_of(dataset, examples, form)};
  };
}

BatchMaker tensor_batches(Tensor inputs, Tensor labels) {
  if (inputs.rank() < 1 || labels.rank() < 1 || inputs.dims()[0] != labels.dims()[0])
    fail("inputs {} and labels {}; expected as many labels as inputs in the first dimension",
         inputs.type_text(), labels.type_text());
  return
      [inputs = std::move(inputs), labels = std::move(labels)](std::span<const int64_t> examples) {
        return Batch{gather_rows(inputs, examples), gather_rows(labels, examples)};
      };
}

Batches::Batches(int64_t examples, BatchMaker maker, const BatchOptions& options, uint64_t epoch)
    : maker_(std::move(maker)),
      batch_(checked_batch(options.batch)),
      order_(order_of(examples, options, epoch)),
      prefetcher_([this] { return make(); }, static_cast<size_t>(std::max(options.prefetch, 0))) {}

int64_t Batches::count() const {
  return (static_cast<int64_t>(order_.size()) + batch_ - 1) / batch_;
}

std::optional<Batch> Batches::make() {
  if (at_ == order_.size()) return std::nullopt;
  const size_t n = std::min(static_cast<size_t>(batch_), order_.size() - at_);
  Batch batch = maker_(std::span(order_).subspan(at_, n));
  at_ += n;
  return batch;
}

std::optional<Batch> Batches::next() { return prefetcher_.next(); }

}  // namespace lathe::data
