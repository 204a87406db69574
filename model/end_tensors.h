// SPDX-License-Identifier: Apache-2.0
// The tensors of a model's ends as its files have them. Tied ends may be stored once, under either
// name; where both are there, each end takes its own. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "model/config.h"

namespace shoal::model {

// By canonical names. Of a file that is here in parts, what its header says counts.
std::string embedding_tensor(const ModelConfig& config, const Checkpoint& checkpoint);
std::string head_tensor(const ModelConfig& config, const Checkpoint& checkpoint);

// Which ends somebody computes.
struct EndParts {
  bool embedding = false;
  bool head = false;  // with the final norm
  bool any() const { return embedding || head; }
  friend bool operator==(const EndParts&, const EndParts&) = default;
};
// Each once: a tied tensor is that of both.
std::vector<std::string> tensors_of(const EndParts& parts, const ModelConfig& config,
                                    const Checkpoint& checkpoint);
// Their bytes, as they are stored.
std::uint64_t bytes_of(const std::vector<std::string>& tensors, const Checkpoint& checkpoint);

}  // namespace shoal::model
