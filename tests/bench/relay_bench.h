// SPDX-License-Identifier: Apache-2.0
// What the way through a relay costs: the same echoes to one gRPC server, directly and through a
// relay, in turns of one run on loopback; then many bytes each way. All in this process.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace shoal::bench {

struct RelayBench {
  std::size_t bytes = 8'192;  // a row of hidden 4096 in two bytes
  int echoes = 5'000;
  int megabytes = 100;
  std::uint32_t mbit = 100'000;
};

// Prints a Markdown table.
absl::Status run_relay(const RelayBench& options);

}  // namespace shoal::bench
