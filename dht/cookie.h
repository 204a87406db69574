// SPDX-License-Identifier: Apache-2.0
// Cookies of challenges and replies: bound to address and time by a MAC under a secret of this run,
// so that a flood of first packets costs no memory. Each is good for one handshake, and until then
// for questions. One thread at a time.
#pragma once

#include "dht/config.h"
#include "dht/packet.h"
#include "dht/recent.h"
#include "proto/endpoint.h"

namespace shoal::dht {

class CookieJar {
 public:
  CookieJar(const SessionConfig& config, identity::Random& random);
  Cookie make(const proto::Endpoint& from, TimePoint now);
  bool valid(const Cookie& cookie, const proto::Endpoint& from, TimePoint now) const;
  void use(const Cookie& cookie);  // it is not valid again

 private:
  std::array<std::uint8_t, 16> mac(const Cookie& cookie, const proto::Endpoint& from) const;

  const Duration ttl_;
  identity::Random random_;
  const identity::Bytes32 secret_;
  RecentSet used_;
};

}  // namespace shoal::dht
