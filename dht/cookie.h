// SPDX-License-Identifier: Apache-2.0
// Cookies of challenges: bound to address, echo and time by a MAC under a secret of this run, so
// that a flood of first packets costs no memory. Each is good for one handshake. One thread at a
// time.
#pragma once

#include <deque>
#include <set>

#include "dht/config.h"
#include "dht/packet.h"
#include "proto/endpoint.h"

namespace shoal::dht {

class CookieJar {
 public:
  CookieJar(const SessionConfig& config, Random& random);
  Cookie make(const proto::Endpoint& from, const Echo& echo, TimePoint now);
  bool valid(const Cookie& cookie, const proto::Endpoint& from, const Echo& echo, TimePoint now);
  void use(const Cookie& cookie);  // it is not valid again

 private:
  std::array<std::uint8_t, 16> mac(const Cookie& cookie, const proto::Endpoint& from,
                                   const Echo& echo) const;

  const SessionConfig config_;
  Random random_;
  std::array<std::uint8_t, 32> secret_;
  std::set<Cookie> used_;
  std::deque<Cookie> used_order_;  // oldest first
};

}  // namespace shoal::dht
