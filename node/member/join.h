// SPDX-License-Identifier: Apache-2.0
// What a newcomer decides from the swarm's records: may its model come in, and which blocks it
// serves. Pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "dht/record.h"

namespace shoal::node {

struct OwnModel {
  std::string name;
  proto::Digest digest;
  std::uint32_t block_count = 0;
};

// FAILED_PRECONDITION when the swarm serves models and ours is none of them; names both and the way
// out.
absl::Status check_model(std::span<const dht::Record> served, const OwnModel& own);

// INVALID_ARGUMENT when the span that was asked for is not inside the model.
absl::Status check_blocks(proto::Span blocks, const OwnModel& own);

// The highest sequence number of `self` among the records; 0 without one.
std::uint64_t known_sequence(std::span<const dht::Record> records, const proto::PeerId& self);

}  // namespace shoal::node
