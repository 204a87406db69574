// SPDX-License-Identifier: Apache-2.0
#include "node/member/join.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/usage.h"

namespace shoal::node {

absl::Status check_model(std::span<const dht::Record> served, const OwnModel& own) {
  const dht::Record* other = nullptr;
  for (const dht::Record& record : served) {
    if (record.offer.span.empty()) continue;
    if (record.offer.model_digest == own.digest) return absl::OkStatus();
    other = &record;
  }
  if (other == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "the model differs: this swarm serves {} ({}), you have {} ({}); use the same model files, "
      "or --add-model to serve "
      "a second model on purpose",
      other->offer.model_name, to_string(other->offer.model_digest), own.name,
      to_string(own.digest)));
}

absl::Status check_blocks(proto::Span blocks, const OwnModel& own) {
  if (!blocks.empty() && blocks.end <= own.block_count) return absl::OkStatus();
  return cli::usage_error(
      fmt::format("--blocks {} is not inside model {}, which has {} blocks: choose within 0:{}",
                  proto::to_string(blocks), own.name, own.block_count, own.block_count));
}

std::uint64_t known_sequence(std::span<const dht::Record> records, const proto::PeerId& self) {
  std::uint64_t sequence = 0;
  for (const dht::Record& record : records) {
    if (record.peer_id() == self) sequence = std::max(sequence, record.sequence);
  }
  return sequence;
}

}  // namespace shoal::node
