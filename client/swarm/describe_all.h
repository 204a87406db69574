// SPDX-License-Identifier: Apache-2.0
// Asks many nodes for themselves (Describe), all at once. Blocks the caller up to the deadline;
// leaves no call behind.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "proto/address.h"
#include "proto/description.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::client {

// One node, and what came of asking it.
struct AskedNode {
  proto::PeerId peer;
  std::vector<proto::Address> addresses;  // at least one

  std::string out_of_reach = {};             // why it was not asked; empty when it was
  std::optional<absl::Status> outcome = {};  // absent: no answer yet; CANCELLED: it came too late
  // When the outcome is OK: what it said, or what is wrong with it, after "it ".
  absl::StatusOr<proto::Description> said = absl::UnknownError("");
  double rtt_us = 0;  // of the last round
};

struct DescribeOptions {
  std::chrono::milliseconds timeout{0};
  // The first round of questions to a node pays for the connection, a second one measures the way.
  int rounds = 1;
  // Until when to wait, given what is known so far and the time now; asked again after each answer.
  // Absent: for all of them, or the timeout.
  std::function<std::chrono::steady_clock::time_point(const std::vector<AskedNode>&,
                                                      std::chrono::steady_clock::time_point)>
      until = {};
};

// "node 1a2b3c4d at 127.0.0.1:7000"
std::string name_of(const AskedNode& node);

// Nodes that this machine has no way to are not asked.
std::vector<AskedNode> describe_all(std::vector<AskedNode> nodes, const DescribeOptions& options,
                                    net::ChannelPool& channels, const base::StopToken& stop);

// Of a node that answered: why it is not what its record says, after "it "; OK when it is, and then
// it serves blocks of that model. FAILED_PRECONDITION: another protocol version; else UNAVAILABLE.
absl::Status contradiction(const AskedNode& node, const proto::Digest& model,
                           std::uint32_t block_count);

}  // namespace shoal::client
