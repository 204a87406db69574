// SPDX-License-Identifier: Apache-2.0
// What a relay and its ends say to each other: whatever comes is refused, or is a message that,
// said anew, is the same one, within the bounds of those who act upon it. And what may be dialled
// of the addresses that the other end of a relayed connection names.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "net/punch_plan.h"
#include "proto/limits.h"
#include "proto/tunnel.h"

namespace {

using shoal::proto::Endpoint;

std::string_view without_size(std::string_view bytes) {
  CHECK(bytes.size() > 2 && bytes.size() <= 2 + shoal::proto::kMaxTunnelMessageBytes);
  bytes.remove_prefix(2);
  return bytes;
}

// The first two are where the other end and we are seen, the rest what it names.
void meet(std::string_view bytes) {
  std::vector<Endpoint> all;
  while (!bytes.empty()) {
    // A byte, then an endpoint of IPv4 or IPv6.
    const std::size_t size = (bytes[0] & 1) != 0 ? 18 : 6;
    bytes.remove_prefix(1);
    if (bytes.size() < size) break;
    if (const auto endpoint = shoal::proto::decode_endpoint(bytes.substr(0, size)))
      all.push_back(*endpoint);
    bytes.remove_prefix(size);
  }
  if (all.size() < 2) return;
  const Endpoint seen = all[0], us = all[1];
  const std::vector<Endpoint> told(all.begin() + 2, all.end());
  const auto targets = shoal::net::punch_targets(told, seen, us);
  CHECK(targets.size() <= shoal::proto::kMaxPunchCandidates);
  for (const Endpoint& target : targets) {
    CHECK(std::ranges::find(told, target) != told.end() && target.is_usable());
    CHECK(target.port >= 1'024 && target != us && !target.is_loopback());
    CHECK(target.address == seen.address || (target.is_private() && seen.address == us.address));
  }
  for (const Endpoint& target : shoal::net::punch_targets(told, seen, std::nullopt))
    CHECK(target.address == seen.address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto request = shoal::proto::decode_tunnel_request(bytes); request.ok()) {
    const std::string again = shoal::proto::encode_tunnel_request(*request);
    const auto same = shoal::proto::decode_tunnel_request(without_size(again));
    CHECK(same.ok() && *same == *request);
  }
  if (const auto reply = shoal::proto::decode_tunnel_reply(bytes); reply.ok()) {
    CHECK(reply->retry_ms <= shoal::proto::kMaxTunnelRetryMs);
    CHECK(reply->refusal <= shoal::proto::TunnelRefusal::kCount);
    CHECK(shoal::proto::words_of(reply->refusal) != nullptr);
    const std::string again = shoal::proto::encode_tunnel_reply(*reply);
    const auto same = shoal::proto::decode_tunnel_reply(without_size(again));
    CHECK(same.ok() && *same == *reply);
  }
  meet(bytes);
  return 0;
}
