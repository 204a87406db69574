// SPDX-License-Identifier: Apache-2.0
#include "node/device/span_ends.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/finite.h"

namespace shoal::node {

model::WeightChoice head_choice(model::WeightChoice blocks) {
  return model::is_portable(blocks) ? model::WeightChoice::kQ8 : model::WeightChoice::kStored;
}

proto::WeightFormat head_format(const model::ModelConfig& config,
                                const model::Checkpoint& checkpoint, model::WeightChoice head) {
  if (head != model::WeightChoice::kStored) return proto::weight_format_of(model::name_of(head));
  const auto stored = checkpoint.tensors().find(model::head_tensor(config, checkpoint));
  if (stored == checkpoint.tensors().end()) return proto::WeightFormat::kUnknown;
  return proto::weight_format_of(absl::AsciiStrToLower(stored->second.dtype));
}

absl::StatusOr<std::unique_ptr<SpanEnds>> SpanEnds::load(const model::ModelConfig& config,
                                                         const model::Checkpoint& checkpoint,
                                                         const Options& options) {
  std::unique_ptr<SpanEnds> ends(new SpanEnds);
  ends->checkpoint_ = &checkpoint;
  ends->hidden_ = config.hidden;
  ends->vocabulary_ = config.vocabulary;
  if (options.parts.embedding) {
    // It copies rows: a thread more would cost more than it gives.
    ends->embedding_executor_ = kernels::Executor::cpu(1);
    auto embedding =
        model::ModelEnds::load_embedding(config, checkpoint, *ends->embedding_executor_);
    if (!embedding.ok()) return embedding.status();
    ends->embedding_ = std::make_unique<model::ModelEnds>(*std::move(embedding));
  }
  if (options.parts.head) {
    ends->head_executor_ = kernels::Executor::cpu(options.threads);
    auto head = model::ModelEnds::load_head(config, checkpoint, *ends->head_executor_);
    if (!head.ok()) return head.status();
    if (options.head != model::WeightChoice::kStored) {
      absl::Status packed = head->pack_head(checkpoint, options.head, options.packing);
      if (!packed.ok()) return packed;
    }
    ends->head_ = std::make_unique<model::ModelEnds>(*std::move(head));
  }
  return ends;
}

absl::StatusOr<double> SpanEnds::warm_up() const {
  std::vector<float> row(static_cast<std::size_t>(hidden_));
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = 0.01f * static_cast<float>(i % 7) - 0.03f;
  std::vector<float> logits(static_cast<std::size_t>(vocabulary_));
  double best_us = 0;
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    const auto started = std::chrono::steady_clock::now();
    head_->logits(row, logits);
    const std::chrono::duration<double, std::micro> took =
        std::chrono::steady_clock::now() - started;
    best_us = round == 0 ? took.count() : std::min(best_us, took.count());
  }
  if (base::all_finite(logits)) return best_us;
  return absl::InvalidArgumentError(
      "the head computes values that are not finite: the model's weights are damaged; download "
      "them again");
}

}  // namespace shoal::node
