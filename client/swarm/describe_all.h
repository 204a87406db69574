// SPDX-License-Identifier: Apache-2.0
// Asks many nodes for themselves (Describe), all at once. Blocks the caller up to the deadline;
// leaves no call behind.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/stop_token.h"
#include "proto/endpoint.h"
#include "proto/span_service.pb.h"
#include "proto/types.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::client {

// One node, and what came of asking it.
struct Description {
  proto::PeerId peer;
  std::vector<proto::Endpoint> addresses;  // at least one

  std::string out_of_reach = {};             // why it was not asked; empty when it was
  std::optional<absl::Status> outcome = {};  // absent: no answer yet; CANCELLED: it came too late
  wire::DescribeReply reply = {};            // when the outcome is OK
  double rtt_us = 0;                         // of the last round
};

struct DescribeOptions {
  std::chrono::milliseconds timeout{0};
  // The first round of questions to a node pays for the connection, a second one measures the way.
  int rounds = 1;
  // Until when to wait, given what is known so far and the time now; asked again after each answer.
  // Absent: for all of them, or the timeout.
  std::function<std::chrono::steady_clock::time_point(const std::vector<Description>&,
                                                      std::chrono::steady_clock::time_point)>
      until = {};
};

// "node 1a2b3c4d at 127.0.0.1:7000"
std::string name_of(const Description& node);

// Nodes that this machine has no way to are not asked.
std::vector<Description> describe_all(std::vector<Description> nodes,
                                      const DescribeOptions& options, net::ChannelPool& channels,
                                      const base::StopToken& stop);

// Of a node that answered: why it is not what its record says; empty when it is.
std::string contradiction(const wire::DescribeReply& reply, const proto::Digest& model,
                          std::uint32_t block_count);

}  // namespace shoal::client
