// SPDX-License-Identifier: Apache-2.0
// What the directory's shell costs on real sockets: requests answered per second of its thread,
// beside the cryptography that each needs; memory of known records; time to join over loopback.
#pragma once

#include "absl/status/status.h"

namespace shoal::bench {

struct DhtOptions {
  double seconds = 2;  // of each kind of request
  int window = 64;     // requests in flight
  int records = 10'000;
  int joins = 20;  // runs of each size of swarm
  bool json = false;
};

// Prints Markdown tables, or one JSON object.
absl::Status run_dht(const DhtOptions& options);

}  // namespace shoal::bench
