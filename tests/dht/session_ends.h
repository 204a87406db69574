// SPDX-License-Identifier: Apache-2.0
// Two ends of the session layer whose datagrams a test carries by hand.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dht/session.h"
#include "tests/identity/examples.h"

namespace shoal::dht {

inline const auto kA = proto::Endpoint::v4({10, 0, 0, 1}, 1);
inline const auto kB = proto::Endpoint::v4({10, 0, 0, 2}, 2);
inline const auto kC = proto::Endpoint::v4({10, 0, 0, 3}, 3);
inline const TimePoint kNow{seconds(100)};

using Via = Sessions::Via;

struct End {
  End(std::uint8_t number, const proto::Endpoint& at, std::optional<identity::SwarmKey> key = {},
      SessionConfig config = {}, bool client = false)
      : identity(identity::identity_of(number)),
        endpoint(at),
        random(number),
        sessions(identity, key, config, client, random) {}
  Contact contact() const { return {identity.peer_id(), endpoint, identity.public_key()}; }
  std::vector<Datagram> out() {
    std::vector<Datagram> result;
    while (auto datagram = sessions.poll_transmit()) result.push_back(*datagram);
    return result;
  }

  identity::Identity identity;
  proto::Endpoint endpoint;
  identity::Random random;
  Sessions sessions;
};

// Carries everything until both are silent; what each end was delivered.
inline std::vector<std::string> carry(End& a, End& b, TimePoint now = kNow) {
  std::vector<std::string> delivered;
  for (bool busy = true; busy;) {
    busy = false;
    for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      for (const Datagram& datagram : from->out()) {
        busy = true;
        EXPECT_EQ(datagram.to, to->endpoint);
        EXPECT_LE(datagram.bytes.size(), 1200u);
        if (const auto got = to->sessions.receive(datagram.bytes, from->endpoint, now)) {
          EXPECT_EQ(got->from, from->contact());
          delivered.push_back(got->message);
        }
      }
    }
  }
  return delivered;
}

}  // namespace shoal::dht
