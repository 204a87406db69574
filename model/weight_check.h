// SPDX-License-Identifier: Apache-2.0
// Whether the tensors of a folder are those of its config.json, by their names alone: what means
// another kind of model is refused, what nobody asks for is named. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/config.h"

namespace shoal::model {

// Warnings, one line each: tensors that have no place in the model, which are left alone, as in the
// reference. An error when they show that the model is quantized, a mixture of experts or an
// adapter.
absl::StatusOr<std::vector<std::string>> check_weights(const ModelConfig& config,
                                                       const Checkpoint& checkpoint);

// Whether the blocks' matrices are what float tensor cores take (WeightChoice::kMma): stored as
// bf16 or f16. What is not in this folder is not looked at.
absl::Status check_mma(const ModelConfig& config, const Checkpoint& checkpoint);

}  // namespace shoal::model
