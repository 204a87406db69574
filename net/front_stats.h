// SPDX-License-Identifier: Apache-2.0
// What the front of a node's port counts. Plain data.
#pragma once

#include <array>
#include <cstdint>

#include "net/fault.h"
#include "net/gatekeeper.h"

namespace shoal::net {

struct FrontStats {
  std::uint64_t accepted = 0;                      // connections, ever
  std::uint64_t connections = 0;                   // now
  std::array<std::uint64_t, kRefusals> refused{};  // connections, by Refusal
  std::array<std::uint64_t, kFaults> hung_up{};    // connections, by Fault
  std::uint64_t slowed = 0;                        // times that a peer had to wait
  std::uint64_t bans = 0;                          // ever
  std::uint64_t half_message_bytes = 0;            // now
  std::uint64_t silent_streams = 0;                // now
};

}  // namespace shoal::net
