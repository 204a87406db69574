// SPDX-License-Identifier: Apache-2.0
#include "dht/told_place.h"

#include <gtest/gtest.h>

#include <vector>

namespace shoal::dht {
namespace {

using proto::Address;
using proto::Endpoint;

TEST(ToldPlace, WhatOnlyItsOwnHouseCanUseComesLast) {
  const Address home = Endpoint::v4({192, 168, 8, 2}, 7001);
  const Address carriers = Endpoint::v4({100, 70, 0, 2}, 7001);
  const Address open = Endpoint::v4({198, 51, 100, 7}, 7001);
  const Address relayed = Address::through(proto::PeerId{}, Endpoint::v4({192, 0, 2, 1}, 7000));
  const Address near_relay =
      Address::through(proto::PeerId{}, Endpoint::v4({192, 168, 8, 1}, 7000));
  struct Case {
    std::vector<Address> addresses;
    const char* place;
    const char* behind_a_noun;
  };
  const std::vector<Case> cases = {
      {{}, "-", "at -"},
      {{open}, "198.51.100.7:7001", "at 198.51.100.7:7001"},
      {{home}, "192.168.8.2:7001", "at 192.168.8.2:7001"},  // all of the swarm is in one house
      {{home, open}, "198.51.100.7:7001", "at 198.51.100.7:7001"},
      {{home, relayed}, "via relay 192.0.2.1:7000", "via relay 192.0.2.1:7000"},
      {{carriers, home, relayed}, "via relay 192.0.2.1:7000", "via relay 192.0.2.1:7000"},
      {{home, near_relay}, "via relay 192.168.8.1:7000", "via relay 192.168.8.1:7000"},
      {{home, open, relayed}, "198.51.100.7:7001", "at 198.51.100.7:7001"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(told_place(one.addresses), one.place);
    EXPECT_EQ(at_told_place(one.addresses), one.behind_a_noun);
  }
}

}  // namespace
}  // namespace shoal::dht
