// SPDX-License-Identifier: Apache-2.0
// What one client, and all together, may take of the server. Plain values.
#pragma once

#include <chrono>
#include <cstddef>

namespace shoal::client {

struct HttpLimits {
  std::size_t connections = 1024;  // beyond, the one that is idle for longest has to go
  std::size_t head_bytes = 16u << 10;
  std::size_t body_bytes = 16u << 20;           // as much as a conversation may have
  std::size_t all_bodies_bytes = 256u << 20;    // of requests that are being read or answered
  std::size_t unread_bytes = 1u << 20;          // of a stream, that its client has not taken
  std::size_t ahead_bytes = 64u << 10;          // read of the next request while one is answered
  std::chrono::milliseconds head_time{20'000};  // from the first moment, also of a next request
  std::chrono::milliseconds body_time{60'000};
  std::chrono::milliseconds idle_time{75'000};    // between requests
  std::chrono::milliseconds write_time{30'000};   // for a client that does not read
  std::chrono::milliseconds linger_time{2'000};   // for what a refused client still sends
  std::chrono::milliseconds silence_time{5'000};  // of a stream, before a comment
};

}  // namespace shoal::client
