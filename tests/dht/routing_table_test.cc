// SPDX-License-Identifier: Apache-2.0
#include "dht/routing_table.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace shoal::dht {
namespace {

const TimePoint kNow{seconds(10)};

Contact random_contact(Random& random, std::optional<std::uint8_t> first_byte = {}) {
  Contact contact{{random.bytes<32>()}, proto::Endpoint::v4({10, 0, 0, 1}, 1)};
  if (first_byte) contact.peer.bytes[0] = *first_byte;
  return contact;
}

RoutingTable table(Random& random) {
  return RoutingTable(proto::PeerId{}, RoutingConfig{}, random);
}

TEST(RoutingTableTest, ClosestAgreesWithSortingEverything) {
  Random random(1);
  RoutingTable routing = table(random);
  std::vector<Contact> all;
  for (int i = 0; i < 60; ++i) {
    all.push_back(random_contact(random));
    routing.heard(all.back(), true, kNow);
  }
  ASSERT_EQ(routing.size(), 60u);
  for (int i = 0; i < 20; ++i) {
    const Key target{random.bytes<32>()};
    std::sort(all.begin(), all.end(), [&](const Contact& a, const Contact& b) {
      return closer(target, key_of(a.peer), key_of(b.peer));
    });
    const auto closest = routing.closest(target, 7);
    ASSERT_EQ(closest.size(), 7u);
    for (std::size_t j = 0; j < 7; ++j) EXPECT_EQ(closest[j].contact, all[j]);
    EXPECT_EQ(routing.count_closer(target, key_of(all[5].peer), {}, 100), 5u);
    EXPECT_EQ(routing.count_closer(target, key_of(all[5].peer), all[0].peer, 100), 4u);
    EXPECT_EQ(routing.count_closer(target, key_of(all[5].peer), {}, 3), 3u);
  }
}

TEST(RoutingTableTest, BucketsAreBoundedAndTheFarthestAreLargest) {
  Random random(2);
  RoutingTable routing = table(random);
  for (const auto& [first, limit] : std::vector<std::pair<int, std::size_t>>{
           {0x80, 128}, {0x40, 64}, {0x20, 32}, {0x10, 20}, {0x01, 20}}) {
    const std::size_t before = routing.size();
    for (int i = 0; i < 300; ++i)
      routing.heard(random_contact(random, static_cast<std::uint8_t>(first)), true, kNow);
    EXPECT_EQ(routing.size() - before, limit);
  }
  EXPECT_GT(routing.estimated_peers(), static_cast<double>(routing.size()));
}

TEST(RoutingTableTest, SilentContactsLeaveAndReplacementsTakeTheirPlace) {
  Random random(3);
  RoutingTable routing = table(random);
  std::vector<Contact> contacts;
  for (int i = 0; i < 25; ++i) {
    contacts.push_back(random_contact(random, 0x01));
    routing.heard(contacts.back(), true, kNow);
  }
  ASSERT_EQ(routing.size(), 20u);
  EXPECT_EQ(routing.find(contacts[22].peer), nullptr);
  routing.overdue(contacts[0].peer);
  EXPECT_TRUE(routing.find(contacts[0].peer)->suspect);
  routing.failed(contacts[0].peer, kNow);
  ASSERT_NE(routing.find(contacts[0].peer), nullptr);
  EXPECT_EQ(routing.verified(), 19u);
  routing.heard(contacts[0], true, kNow);  // it answered after all
  EXPECT_FALSE(routing.find(contacts[0].peer)->suspect);
  for (int i = 0; i < RoutingConfig{}.max_failures; ++i) routing.failed(contacts[0].peer, kNow);
  EXPECT_EQ(routing.find(contacts[0].peer), nullptr);
  EXPECT_EQ(routing.size(), 20u);
  ASSERT_NE(routing.find(contacts[24].peer), nullptr);  // the latest replacement
  EXPECT_FALSE(routing.find(contacts[24].peer)->verified);
  EXPECT_LE(routing.next_check(), kNow);
}

TEST(RoutingTableTest, EveryContactIsCheckedOnItsOwnTimer) {
  Random random(4);
  RoutingTable routing = table(random);
  const Contact asked_us = random_contact(random), answered = random_contact(random);
  routing.heard(asked_us, false, kNow);
  routing.heard(answered, true, kNow);
  EXPECT_TRUE(routing.due(kNow + seconds(7)).empty());
  EXPECT_EQ(routing.due(kNow + milliseconds(12'001)), std::vector<Contact>{asked_us});
  EXPECT_EQ(routing.due(kNow + seconds(19)).size(), 2u);
  routing.checking(asked_us.peer, kNow + seconds(12));
  routing.heard(answered, false, kNow + seconds(12));  // any sign of life postpones
  EXPECT_TRUE(routing.due(kNow + seconds(20)).empty());
}

TEST(RoutingTableTest, OwnIdNeverEntersAndANewAddressReplacesTheOld) {
  Random random(5);
  RoutingTable routing = table(random);
  routing.heard({proto::PeerId{}, proto::Endpoint::v4({10, 0, 0, 9}, 9)}, true, kNow);
  EXPECT_EQ(routing.size(), 0u);
  EXPECT_EQ(routing.next_check(), std::nullopt);
  Contact contact = random_contact(random);
  routing.heard(contact, true, kNow);
  contact.endpoint.port = 99;
  routing.heard(contact, true, kNow);
  EXPECT_EQ(routing.size(), 1u);
  EXPECT_EQ(routing.find(contact.peer)->contact, contact);
}

TEST(RoutingTableTest, EstimatesTheSwarmFromItsNeighbourhood) {
  for (const std::size_t n : {200u, 2000u}) {
    double sum = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      Random random(seed);
      RoutingTable routing = table(random);
      for (std::size_t i = 0; i < n; ++i) routing.heard(random_contact(random), true, kNow);
      sum += routing.estimated_peers();
    }
    EXPECT_NEAR(sum / 20, static_cast<double>(n), 0.2 * static_cast<double>(n));
  }
}

}  // namespace
}  // namespace shoal::dht
