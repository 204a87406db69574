// SPDX-License-Identifier: Apache-2.0
// Names a model by content, so that peers with different weights never share a session.
#pragma once

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/config.h"

namespace shoal::model {

// SHA-256 over the fields of the config that change the mathematics, and every tensor's name, type,
// shape and a fixed sample of its bytes (first and last 4 KiB and 64 spots of 64 bytes):
// milliseconds for a 100 GB model. It tells models apart; it does not prove the integrity of a
// download.
absl::StatusOr<std::array<std::uint8_t, 32>> model_digest(const ModelConfig& config,
                                                          const Checkpoint& checkpoint);

}  // namespace shoal::model
