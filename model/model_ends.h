// SPDX-License-Identifier: Apache-2.0
// What a client computes itself: the token embedding before the first block, the final norm and LM
// head after the last. The head is used as it is stored, or packed (kernels/portable.h): a wide
// vocabulary's is read whole for each token. One caller at a time. `checkpoint` and `executor` must
// outlive it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "kernels/linear_weight.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/sha256.h"
#include "model/weight_choice.h"

namespace shoal::model {

class ModelEnds {
 public:
  static absl::StatusOr<ModelEnds> load(const ModelConfig& config, const Checkpoint& checkpoint,
                                        kernels::Executor& executor);
  // One line each: where config.json and the files disagree.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // ids [rows] -> [rows, hidden]; INVALID_ARGUMENT for an id outside the vocabulary.
  absl::StatusOr<std::vector<float>> embed(std::span<const std::int32_t> ids) const;
  // hidden states [rows, hidden] -> what the head sees of them, the model's last hidden state.
  void final_norm(std::span<const float> rows, std::span<float> normed) const;
  // hidden states [rows, hidden] -> logits [rows, vocabulary]. Row-invariant.
  void logits(std::span<const float> rows, std::span<float> logits) const;

  // From here on the head is what `choice` makes of what is stored; the embedding stays as it is.
  // Progress in bytes of what is read, 0 first. Reads `part_bytes` at a time, which changes no bit,
  // and lets go of what it has read of `checkpoint`: a stop is heeded meanwhile, and the file takes
  // no memory beside what is made of it. CANCELLED by work.stop, or RESOURCE_EXHAUSTED; the head is
  // then what it was.
  static constexpr std::int64_t kHeadPartBytes = 64 << 20;
  absl::Status pack_head(const Checkpoint& checkpoint, WeightChoice choice, const FileWork& work,
                         std::int64_t part_bytes = kHeadPartBytes);
  WeightChoice head() const { return head_choice_; }

 private:
  kernels::Executor* executor_ = nullptr;
  std::int64_t hidden_ = 0, vocabulary_ = 0;
  float eps_ = 0.0f;
  std::vector<std::string> warnings_;
  kernels::WeightView embedding_, norm_, stored_head_;  // views into the checkpoint
  // Of consecutive rows of the vocabulary each: the head.
  std::vector<kernels::PackedLinear> head_;
  WeightChoice head_choice_ = WeightChoice::kStored;
};

}  // namespace shoal::model
