// SPDX-License-Identifier: Apache-2.0
// What a client computes itself: the token embedding before the first block, the final norm and LM
// head after the last. One caller at a time. `checkpoint` and `executor` must outlive it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/config.h"

namespace shoal::model {

class ModelEnds {
 public:
  static absl::StatusOr<ModelEnds> load(const ModelConfig& config, const Checkpoint& checkpoint,
                                        kernels::Executor& executor);
  // One line each: where config.json and the files disagree.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // ids [rows] -> [rows, hidden]; INVALID_ARGUMENT for an id outside the vocabulary.
  absl::StatusOr<std::vector<float>> embed(std::span<const std::int32_t> ids) const;
  // hidden states [rows, hidden] -> logits [rows, vocabulary]. Row-invariant.
  std::vector<float> logits(std::span<const float> rows) const;

 private:
  kernels::Executor* executor_ = nullptr;
  std::int64_t hidden_ = 0, vocabulary_ = 0;
  float eps_ = 0.0f;
  std::vector<std::string> warnings_;
  kernels::WeightView embedding_, norm_, head_;  // views into the checkpoint
};

}  // namespace shoal::model
