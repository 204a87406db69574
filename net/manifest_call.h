// SPDX-License-Identifier: Apache-2.0
// Asks nodes for the manifest of the model that they serve, for whoever holds only parts of it.
// Blocks the caller up to the deadlines below; leaves no call behind. Trusts nobody: the caller
// holds what comes against the digest. docs/protocol.md, "The manifest".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "net/channel_pool.h"
#include "proto/served_model.h"

namespace shoal::net {

// From the first of its nodes that gives all of it; an error says why the last one did not.
absl::StatusOr<std::string> fetch_manifest(ChannelPool& channels, const proto::ServedModel& model,
                                           const base::StopToken& stop);

// The first of these models whose manifest `takes` takes: OK ends the search. Else NOT_FOUND, with
// what it, or the network, said of the last; CANCELLED as soon as somebody says it.
absl::Status find_manifest(
    ChannelPool& channels, const std::vector<proto::ServedModel>& models,
    const std::function<absl::Status(const proto::Digest&, const std::string&)>& takes,
    const base::StopToken& stop);

}  // namespace shoal::net
