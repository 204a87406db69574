// SPDX-License-Identifier: Apache-2.0
// Asks nodes for the small files of the model that they serve: what they list, and what they list
// alike, in pieces from all of them at once. Blocks the caller up to the deadlines below; leaves no
// call behind. docs/protocol.md, "Companions".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "proto/companion.h"
#include "proto/served_model.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::client {

struct AgreedCompanions {
  proto::CompanionList list;
  std::vector<proto::ServedModel::Node> nodes;  // who say so, who answered first before
};

// Asks nodes as they stand in the model, five at a time, until one has an answer; of those that
// have, all must say the same (companion_agreement.h). Nodes of an older version, or without the
// files, have none. NOT_FOUND: nobody has; UNAVAILABLE: nobody could be asked.
absl::StatusOr<AgreedCompanions> ask_companions(net::ChannelPool& channels,
                                                const proto::ServedModel& model,
                                                const base::StopToken& stop);

// The bytes of these of the files, in their order, each what its hash says. DATA_LOSS names a node
// that sends other bytes than it lists, when nobody sends the right ones.
absl::StatusOr<std::vector<std::string>> fetch_companions(
    net::ChannelPool& channels, const proto::Digest& model, const AgreedCompanions& agreed,
    const proto::CompanionList& files,
    const std::function<void(std::uint64_t done, std::uint64_t all)>& progress,
    const base::StopToken& stop);

}  // namespace shoal::client
