// SPDX-License-Identifier: Apache-2.0
// What a node counts of itself, for people, tests and Prometheus. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "dht/stats.h"
#include "net/front_stats.h"
#include "net/relay.h"
#include "node/account/tally.h"
#include "node/serve/outbox_budget.h"

namespace shoal::node {

struct NodeStats {
  std::size_t sessions = 0;
  std::size_t streams = 0;             // of gRPC, in and out
  std::int64_t pages_in_use = 0;       // by sessions
  std::int64_t kept_pages = 0;         // for later ones
  std::uint64_t reused_positions = 0;  // that sessions did not compute, since they were kept
  std::int64_t free_kv_positions = 0;
  std::int64_t total_kv_positions = 0;
  std::int64_t queued_steps = 0;
  std::uint64_t batches = 0;
  std::uint64_t batched_rows = 0;
  std::uint64_t head_rows = 0;   // that the head scored
  std::uint64_t head_calls = 0;  // of many rows each
  double computing_s = 0;        // of the device
  float block_step_us = 0;
  OutboxStats outbox;                    // bytes that wait to be sent
  std::uint64_t moves = 0;               // to other blocks
  std::uint64_t sessions_given_way = 0;  // ended because they were idle while others waited
};

struct MetricsSnapshot {
  dht::KademliaStats dht;
  std::optional<NodeStats> node;           // absent: a bootstrap node
  std::optional<net::FrontStats> front;    // absent without a TCP port
  std::optional<net::RelayStats> relay{};  // absent: it carries nothing for others
  std::optional<WorkTally> account{};      // of this run; absent: nobody keeps it
};

}  // namespace shoal::node
