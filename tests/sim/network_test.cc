// SPDX-License-Identifier: Apache-2.0
// Delays, losses, cuts and addresses of the simulated network are what they claim to be.
#include "tests/sim/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace shoal::sim {
namespace {

using dht::milliseconds;
using dht::TimePoint;

const TimePoint kNow{dht::seconds(1000)};

TEST(Network, RoundTripsAreLogNormalAroundTheMedianAndBelongToThePair) {
  Network network({}, 3);
  std::vector<double> logs;
  for (PeerIndex a = 0; a < 100; ++a) {
    for (PeerIndex b = a + 1; b < 100; ++b) {
      EXPECT_EQ(network.round_trip(a, b), network.round_trip(b, a));
      logs.push_back(std::log(static_cast<double>(network.round_trip(a, b).count()) / 80e6));
    }
  }
  double mean = 0, squares = 0;
  for (const double value : logs) mean += value / static_cast<double>(logs.size());
  for (const double value : logs) squares += (value - mean) * (value - mean);
  EXPECT_NEAR(mean, 0, 0.03);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(logs.size())), 0.6, 0.03);
}

TEST(Network, LosesDuplicatesAndDamagesTheStatedShares) {
  LinkModel model;
  model.loss = 0.1;
  model.duplication = 0.2;
  model.corruption = 0.05;
  Network network(model, 4);
  int copies = 0, corrupt = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto fate = network.send(1, 2, kNow);
    copies += static_cast<int>(fate.count);
    for (std::size_t c = 0; c < fate.count; ++c) {
      corrupt += fate.copies[c].corrupt;
      const auto one_way = network.round_trip(1, 2) / 2;
      EXPECT_GE(fate.copies[c].delay, one_way - dht::Duration(1));
      EXPECT_LE(fate.copies[c].delay, one_way * 11 / 10 + dht::Duration(1));
    }
  }
  EXPECT_NEAR(copies, 108'000, 1000);
  EXPECT_NEAR(corrupt, 5'400, 400);
}

TEST(Network, AFilteredPeerHearsOnlyWhomItWroteTo) {
  Network network({}, 5);
  network.set_filtered(2, true);
  EXPECT_EQ(network.send(1, 2, kNow).count, 0u);
  EXPECT_EQ(network.send(2, 1, kNow).count, 1u);
  EXPECT_EQ(network.send(1, 2, kNow + dht::seconds(1)).count, 1u);
  EXPECT_EQ(network.send(3, 2, kNow + dht::seconds(1)).count, 0u) << "another";
  EXPECT_EQ(network.send(1, 2, kNow + Network::kNatMemory).count, 0u) << "forgotten";
  network.set_filtered(2, false);
  EXPECT_EQ(network.send(3, 2, kNow).count, 1u);
}

TEST(Network, CutsHaveDirectionsAndClogsAnEnd) {
  Network network({}, 5);
  network.set_group(2, 1);
  network.cut(0, 1, true);
  EXPECT_EQ(network.send(0, 2, kNow).count, 0u);
  EXPECT_EQ(network.send(2, 0, kNow).count, 1u);
  EXPECT_EQ(network.send(0, 1, kNow).count, 1u);
  network.clog(1, kNow + dht::seconds(9));
  EXPECT_EQ(network.send(0, 1, kNow).copies[0].delay, dht::seconds(9));
  EXPECT_EQ(network.send(1, 0, kNow).copies[0].delay, dht::seconds(9));
  network.heal();
  EXPECT_EQ(network.send(0, 2, kNow).count, 1u);
  EXPECT_LT(network.send(0, 1, kNow).copies[0].delay, dht::seconds(2));
}

TEST(AddressPlan, PublicAddressesAreUniquePublicAndMostlyAloneInTheirNetwork) {
  AddressPlan plan(AddressKind::kPublic, 1);
  const std::uint32_t reserved = plan.reserve_network();
  std::set<proto::Endpoint> all;
  std::map<std::uint32_t, int> by24, by16;
  for (int i = 0; i < 10'000; ++i) {
    const proto::Endpoint endpoint = plan.next();
    EXPECT_TRUE(all.insert(endpoint).second);
    EXPECT_FALSE(endpoint.is_private());
    const auto& a = endpoint.address;
    const auto network16 = static_cast<std::uint32_t>(a[12] << 8 | a[13]);
    EXPECT_NE(network16 << 8 | a[14], reserved);
    ++by24[network16 << 8 | a[14]];
    ++by16[network16];
  }
  const auto alone =
      std::count_if(by24.begin(), by24.end(), [](const auto& entry) { return entry.second == 1; });
  EXPECT_GT(alone, 7'000);
  EXPECT_LT(alone, 9'500) << "some share theirs";
  const auto widest = std::max_element(
      by16.begin(), by16.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  EXPECT_GT(widest->second, 30);
  EXPECT_LT(widest->second, 300);
  EXPECT_GT(by16.size(), 3'000u);
}

TEST(AddressPlan, PrivateAddressesArePrivate) {
  AddressPlan plan(AddressKind::kPrivate, 1);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(plan.next().is_private());
}

TEST(AddressBook, KnowsWhoIsWhereAlsoAfterMoves) {
  AddressPlan plan(AddressKind::kPublic, 2);
  AddressBook book;
  std::vector<proto::Endpoint> endpoints;
  for (PeerIndex i = 0; i < 2000; ++i) {
    endpoints.push_back(plan.next());
    book.set(endpoints.back(), i);
  }
  for (PeerIndex i = 0; i < 2000; i += 2) book.erase(endpoints[i]);
  for (PeerIndex i = 0; i < 2000; ++i) EXPECT_EQ(book.find(endpoints[i]), i % 2 ? i : kNobody);
  EXPECT_EQ(book.find(plan.next()), kNobody);
}

}  // namespace
}  // namespace shoal::sim
