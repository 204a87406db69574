// SPDX-License-Identifier: Apache-2.0
#include "model/model_ends.h"

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"

namespace shoal::model {

absl::StatusOr<ModelEnds> ModelEnds::load(const ModelConfig& config, const Checkpoint& checkpoint,
                                          kernels::Executor& executor) {
  ModelEnds ends;
  ends.executor_ = &executor;
  ends.hidden_ = config.hidden;
  ends.vocabulary_ = config.vocabulary;
  ends.eps_ = config.rms_norm_eps;
  const absl::StatusOr<kernels::WeightView> embedding =
      checkpoint.weight("model.embed_tokens.weight", config.vocabulary, config.hidden);
  if (!embedding.ok()) return embedding.status();
  const absl::StatusOr<kernels::WeightView> norm =
      checkpoint.vector("model.norm.weight", config.hidden);
  if (!norm.ok()) return norm.status();
  // Tied: the reference takes the embedding even if the files hold a head.
  const absl::StatusOr<kernels::WeightView> head =
      config.tied_embeddings
          ? embedding
          : checkpoint.weight("lm_head.weight", config.vocabulary, config.hidden);
  if (!head.ok()) return head.status();
  for (const char* name : {"lm_head.bias", "model.norm.bias"}) {
    if (checkpoint.contains(name)) {
      return absl::UnimplementedError(
          absl::StrCat("tensor ", name, " has no place in the supported models"));
    }
  }
  ends.embedding_ = *embedding;
  ends.norm_ = *norm;
  ends.head_ = *head;
  return ends;
}

absl::StatusOr<std::vector<float>> ModelEnds::embed(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocabulary_) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is outside of the model's vocabulary of ", vocabulary_));
    }
  }
  std::vector<float> rows(ids.size() * static_cast<std::size_t>(hidden_));
  if (ids.empty()) return rows;
  kernels::embedding(*executor_, embedding_, ids,
                     {rows.data(), static_cast<std::int64_t>(ids.size()), hidden_, hidden_});
  return rows;
}

std::vector<float> ModelEnds::logits(std::span<const float> rows) const {
  const std::size_t hidden = static_cast<std::size_t>(hidden_);
  CHECK(rows.size() % hidden == 0) << rows.size() << " values for rows of " << hidden_;
  const std::int64_t count = static_cast<std::int64_t>(rows.size() / hidden);
  std::vector<float> logits(static_cast<std::size_t>(count * vocabulary_));
  if (count == 0) return logits;
  std::vector<float> normed(rows.size());
  const kernels::MatrixView x{normed.data(), count, hidden_, hidden_};
  kernels::rms_norm(*executor_, {rows.data(), count, hidden_, hidden_}, norm_, eps_, x);
  kernels::linear(*executor_, x, head_, {}, {logits.data(), count, vocabulary_, vocabulary_});
  return logits;
}

}  // namespace shoal::model
