// SPDX-License-Identifier: Apache-2.0
// Whatever a router, or somebody who poses as one, sends in answer to a request for a port.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/pcp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using shoal::net::PcpReply;
  const auto reply = shoal::net::parse_pcp_reply({reinterpret_cast<const char*>(data), size});
  if (!reply) return 0;
  CHECK(reply->version == 0 || size >= shoal::net::kPcpMapBytes);
  CHECK(reply->result == 0 || reply->external.port == 0);
  CHECK(shoal::net::pcp_result_words(reply->result) != nullptr);
  return 0;
}
