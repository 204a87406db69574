// SPDX-License-Identifier: Apache-2.0
// What `shoal-node status` says: as JSON, which goes over the local socket and to --json, and made
// of that for people. Pure; the text is total: the node may be of another version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "node/account/ledger.h"
#include "node/account/tally.h"
#include "node/control/owner_wish.h"

namespace shoal::node {

struct NodeStatus {
  std::string state = "starting";  // serving, draining, paused, leaving
  std::string peer_id;
  std::string identity;  // its file; empty: of this run only
  std::string version;
  int pid = 0;
  std::uint16_t port = 0;  // that it listens on, or will; 0: not known yet, or none
  bool bootstrap = false;
  // While it starts, and nobody of its swarm answers there.
  std::string silent;
  std::int64_t silent_since_unix_s = 0;
  // Empty while it starts, or is away.
  std::string address;  // of its own
  std::string place;    // for people: "at 192.0.2.1:7000", "via relay 192.0.2.1:7000"
  std::string model, blocks;
  std::size_t sessions = 0;
  std::int64_t queued_steps = 0;
  std::int64_t kv_positions = 0, free_kv_positions = 0;
  double block_step_us = 0;
};

// What is known of its work and its owner's wish beside that.
struct StatusContext {
  WorkTally run, hour;
  Ledger since_day_one;
  std::string energy_sources;
  Wish wish;
  std::string hours;  // as typed; empty: always
};

std::string node_status_json(const NodeStatus& status, const StatusContext& context);
// The process of a node whose line it is, if it listens on this port; 0: it does not.
int process_on_port(std::string_view json, std::uint16_t port);
// Of such a line; several lines, the last with its newline.
std::string node_status_text(std::string_view json);

}  // namespace shoal::node
