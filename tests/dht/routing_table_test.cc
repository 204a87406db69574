// SPDX-License-Identifier: Apache-2.0
#include "dht/routing_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace shoal::dht {
namespace {

const TimePoint kNow{seconds(10)};
constexpr int kMaxFailures = RoutingConfig{}.max_failures;

Contact random_contact(identity::Random& random, std::optional<std::uint8_t> first_byte = {}) {
  Contact contact{{random.bytes<32>()}, proto::Endpoint::v4({10, 0, 0, 1}, 1)};
  if (first_byte) contact.peer.bytes[0] = *first_byte;
  return contact;
}

// Of the public network a.b.c.0/24; bucket 0 unless said.
Contact public_contact(identity::Random& random, std::array<std::uint8_t, 4> address,
                       std::uint8_t first_byte = 0x80) {
  Contact contact = random_contact(random, first_byte);
  contact.endpoint = proto::Endpoint::v4(address, 7000);
  return contact;
}

RoutingTable table(identity::Random& random) {
  return RoutingTable(proto::PeerId{}, RoutingConfig{}, random);
}

// Everybody that is checked within `duration`, in order, when each one answers.
std::vector<Contact> checked(RoutingTable& routing, TimePoint from, Duration duration,
                             bool answer = true) {
  std::vector<Contact> result;
  for (TimePoint now = from; now < from + duration; now += milliseconds(20)) {
    while (const auto contact = routing.poll_check(now)) {
      result.push_back(*contact);
      if (answer) routing.heard(*contact, true, now);
    }
  }
  return result;
}

TEST(RoutingTableTest, ClosestAgreesWithSortingEverything) {
  identity::Random random(1);
  for (int run = 0; run < 20; ++run) {
    const proto::PeerId self{random.bytes<32>()};
    RoutingTable routing(self, RoutingConfig{}, random);
    std::vector<Contact> all;
    for (int i = 0; i < 2000; ++i) {
      Contact contact = random_contact(random);
      // Half of them in our neighbourhood, so that deep buckets are in play.
      if (i % 2 == 0) std::copy_n(self.bytes.begin(), 1, contact.peer.bytes.begin());
      routing.heard(contact, true, kNow);
      if (routing.find(contact.peer) != nullptr) all.push_back(contact);
    }
    ASSERT_EQ(routing.size(), all.size());
    for (int i = 0; i < 20; ++i) {
      Key target{random.bytes<32>()};
      if (i % 3 == 0) std::copy_n(self.bytes.begin(), 2, target.bytes.begin());
      if (i == 0) target = key_of(self);
      std::sort(all.begin(), all.end(), [&](const Contact& a, const Contact& b) {
        return closer(target, key_of(a.peer), key_of(b.peer));
      });
      for (const std::size_t count : {std::size_t{1}, std::size_t{20}, all.size() + 5}) {
        const auto closest = routing.closest(target, count);
        ASSERT_EQ(closest.size(), std::min(count, all.size()));
        for (std::size_t j = 0; j < closest.size(); ++j) EXPECT_EQ(closest[j]->contact, all[j]);
      }
      EXPECT_EQ(routing.count_closer(target, key_of(all[50].peer), {}, 1000), 50u);
      EXPECT_EQ(routing.count_closer(target, key_of(all[50].peer), all[0].peer, 1000), 49u);
      EXPECT_EQ(routing.count_closer(target, key_of(all[50].peer), {}, 3), 3u);
    }
  }
}

TEST(RoutingTableTest, BucketsAreBoundedAndTheFarthestAreLargest) {
  identity::Random random(2);
  RoutingTable routing = table(random);
  for (const auto& [first, limit] : std::vector<std::pair<int, std::size_t>>{
           {0x80, 128}, {0x40, 64}, {0x20, 32}, {0x10, 20}, {0x01, 20}}) {
    const std::size_t before = routing.size();
    for (int i = 0; i < 300; ++i)
      routing.heard(random_contact(random, static_cast<std::uint8_t>(first)), true, kNow);
    EXPECT_EQ(routing.size() - before, limit);
  }
  EXPECT_GT(routing.estimated_peers(), static_cast<double>(routing.size()));
  EXPECT_EQ(routing.deepest_bucket(), 7);
}

TEST(RoutingTableTest, IsCompact) {
  EXPECT_LE(sizeof(RoutingTable::Entry), 88u);
  identity::Random random(2);
  RoutingTable routing = table(random);
  while (routing.size() < 500) {
    Contact contact = random_contact(random);
    for (int i = 0; i < 5; ++i) {
      if (random.below(2) == 0) contact.peer.bytes[0] &= static_cast<std::uint8_t>(random.next());
    }
    routing.learned(contact, kNow);
  }
  EXPECT_LE(routing.memory_bytes(), 500u * 110);
}

TEST(RoutingTableTest, SilentContactsLeaveAndReplacementsTakeTheirPlace) {
  identity::Random random(3);
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
  routing.failed(contacts[0].peer, false, kNow);
  ASSERT_NE(routing.find(contacts[0].peer), nullptr);
  EXPECT_EQ(routing.verified(), 19u);
  routing.heard(contacts[0], true, kNow);  // it answered after all
  EXPECT_FALSE(routing.find(contacts[0].peer)->suspect);
  EXPECT_EQ(routing.verified(), 20u);
  for (int i = 0; i < kMaxFailures; ++i) routing.failed(contacts[0].peer, false, kNow);
  EXPECT_EQ(routing.find(contacts[0].peer), nullptr);
  EXPECT_EQ(routing.size(), 20u);
  ASSERT_NE(routing.find(contacts[24].peer), nullptr);  // the latest replacement
  EXPECT_FALSE(routing.find(contacts[24].peer)->verified);
  EXPECT_EQ(routing.poll_check(kNow), contacts[24]);  // it has waited long
}

TEST(RoutingTableTest, ALargeTablePartsWithWhomAWholeCheckDidNotReach) {
  identity::Random random(40);
  RoutingTable routing = table(random);
  std::vector<Contact> contacts;
  const auto know = [&](std::size_t count) {
    while (routing.size() < count) {
      const Contact contact = random_contact(random);
      routing.heard(contact, true, kNow);
      if (routing.find(contact.peer) != nullptr) contacts.push_back(contact);
    }
  };
  know(RoutingConfig{}.dispensable_from);
  routing.failed(contacts[0].peer, true, kNow);
  EXPECT_NE(routing.find(contacts[0].peer), nullptr);  // where peers are few, everybody counts
  know(RoutingConfig{}.dispensable_from + 20);
  routing.failed(contacts[1].peer, false, kNow);  // one datagram: it may have been lost
  EXPECT_NE(routing.find(contacts[1].peer), nullptr);
  routing.failed(contacts[1].peer, true, kNow);
  EXPECT_EQ(routing.find(contacts[1].peer), nullptr);
}

TEST(RoutingTableTest, WhoHearsNobodyDoubtsItsOwnNetworkAndForgetsNobodyFast) {
  identity::Random random(41);
  RoutingTable routing = table(random);
  std::vector<Contact> contacts;
  while (routing.size() < 150) {
    contacts.push_back(random_contact(random));
    routing.heard(contacts.back(), true, kNow);
  }
  std::erase_if(contacts, [&](const Contact& c) { return routing.find(c.peer) == nullptr; });
  for (std::size_t i = 0; i < 50; ++i) routing.failed(contacts[i].peer, true, kNow);
  EXPECT_GE(routing.size(), 140u);           // the first few were gone before it doubted
  routing.heard(contacts[149], true, kNow);  // the network is back: who is silent now is dead
  routing.failed(contacts[100].peer, true, kNow);
  EXPECT_EQ(routing.find(contacts[100].peer), nullptr);
}

TEST(RoutingTableTest, ANewcomerTakesThePlaceOfOneThatFails) {
  identity::Random random(4);
  RoutingTable routing = table(random);
  std::vector<Contact> contacts;
  for (int i = 0; i < 20; ++i) {
    contacts.push_back(random_contact(random, 0x01));
    routing.heard(contacts.back(), true, kNow);
  }
  routing.failed(contacts[7].peer, false, kNow);
  const Contact newcomer = random_contact(random, 0x01);
  routing.heard(newcomer, false, kNow);
  EXPECT_EQ(routing.find(contacts[7].peer), nullptr);
  ASSERT_NE(routing.find(newcomer.peer), nullptr);
  EXPECT_EQ(routing.size(), 20u);
  EXPECT_EQ(routing.verified(), 19u);
}

TEST(RoutingTableTest, HearsayEntersOnlyWhereThereIsRoomAndIsGoneAfterOneFailure) {
  identity::Random random(5);
  RoutingTable routing = table(random);
  const Contact rumour = random_contact(random, 0x01);
  routing.learned(rumour, kNow);
  ASSERT_NE(routing.find(rumour.peer), nullptr);
  EXPECT_FALSE(routing.find(rumour.peer)->verified);
  EXPECT_EQ(routing.poll_check(kNow), rumour);
  routing.failed(rumour.peer, false, kNow);
  EXPECT_EQ(routing.size(), 0u);
  EXPECT_EQ(routing.next_check(), std::nullopt);

  std::vector<Contact> heard;
  for (int i = 0; i < 20; ++i) {
    heard.push_back(random_contact(random, 0x01));
    routing.heard(heard.back(), true, kNow);
  }
  const Contact spoke = random_contact(random, 0x01), told = random_contact(random, 0x01);
  routing.heard(spoke, true, kNow);
  routing.learned(told, kNow);
  EXPECT_EQ(routing.size(), 20u);
  routing.remove(heard[0].peer, kNow);
  EXPECT_NE(routing.find(spoke.peer), nullptr);  // who spoke to us comes first
  routing.remove(heard[1].peer, kNow);
  EXPECT_NE(routing.find(told.peer), nullptr);
}

TEST(RoutingTableTest, HearsayNeverChangesAnAddress) {
  identity::Random random(6);
  RoutingTable routing = table(random);
  Contact contact = random_contact(random);
  routing.heard(contact, true, kNow);
  Contact lie = contact;
  lie.endpoint.port = 99;
  lie.key.bytes[0] = 1;
  routing.learned(lie, kNow);
  EXPECT_EQ(routing.find(contact.peer)->contact.endpoint, contact.endpoint);
  EXPECT_EQ(routing.find(contact.peer)->contact.key, lie.key);  // its hash is the peer id
  routing.heard(lie, false, kNow);                              // it moved
  EXPECT_EQ(routing.find(contact.peer)->contact.endpoint, lie.endpoint);
  EXPECT_EQ(routing.size(), 1u);
}

TEST(RoutingTableTest, OwnIdNeverEnters) {
  identity::Random random(7);
  RoutingTable routing = table(random);
  const Contact self{proto::PeerId{}, proto::Endpoint::v4({10, 0, 0, 9}, 9)};
  routing.heard(self, true, kNow);
  routing.learned(self, kNow);
  EXPECT_EQ(routing.size(), 0u);
  EXPECT_EQ(routing.next_check(), std::nullopt);
  EXPECT_TRUE(routing.closest(Key{}, 20).empty());
}

TEST(RoutingTableTest, OnlyTheVerifiedAreToldAndInASmallTableWhoeverSpoke) {
  identity::Random random(8);
  RoutingTable routing = table(random);
  const Contact spoke = random_contact(random), rumour = random_contact(random);
  routing.heard(spoke, false, kNow);
  routing.learned(rumour, kNow);
  auto told = routing.closest(Key{}, 50, RoutingTable::Which::kTellable);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0]->contact, spoke);
  EXPECT_EQ(routing.closest(Key{}, 50).size(), 2u);
  std::vector<Contact> answered;
  for (int i = 0; i < 30; ++i) {
    answered.push_back(random_contact(random));
    routing.heard(answered.back(), true, kNow);
  }
  EXPECT_EQ(routing.closest(Key{}, 50, RoutingTable::Which::kTellable).size(), 30u);
  routing.overdue(answered[0].peer);
  routing.failed(answered[1].peer, false, kNow);
  EXPECT_EQ(routing.closest(Key{}, 50, RoutingTable::Which::kTellable).size(), 28u);
}

TEST(RoutingTableTest, TwoOfANetworkPerBucketAndTenInTheTable) {
  identity::Random random(9);
  RoutingTable routing = table(random);
  for (std::uint8_t i = 1; i <= 5; ++i)
    routing.heard(public_contact(random, {203, 0, 113, i}), true, kNow);
  EXPECT_EQ(routing.size(), 2u);
  for (const std::uint8_t first : {0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01}) {
    for (std::uint8_t i = 1; i <= 5; ++i)
      routing.learned(public_contact(random, {203, 0, 113, i}, first), kNow);
  }
  EXPECT_EQ(routing.size(), 10u);
  EXPECT_EQ(routing.deepest_bucket(), 4);  // the others were made for nobody
  routing.heard(public_contact(random, {203, 0, 114, 1}), true, kNow);
  EXPECT_EQ(routing.size(), 11u);
}

TEST(RoutingTableTest, WhoMovesIntoACrowdedNetworkLeaves) {
  identity::Random random(10);
  RoutingTable routing = table(random);
  std::vector<Contact> contacts;
  for (std::uint8_t i = 1; i <= 3; ++i) {
    contacts.push_back(public_contact(random, {203, 0, i, 1}));
    routing.heard(contacts.back(), true, kNow);
  }
  contacts[1].endpoint = proto::Endpoint::v4({203, 0, 1, 2}, 7000);
  routing.heard(contacts[1], true, kNow);
  EXPECT_EQ(routing.size(), 3u);
  contacts[1].endpoint.port = 7001;  // within its network it may move
  routing.heard(contacts[1], true, kNow);
  EXPECT_EQ(routing.find(contacts[1].peer)->contact.endpoint.port, 7001);
  contacts[2].endpoint = proto::Endpoint::v4({203, 0, 1, 3}, 7000);
  routing.heard(contacts[2], true, kNow);
  EXPECT_EQ(routing.size(), 2u);
}

TEST(RoutingTableTest, PrivateNetworksAndKeyedSwarmsHaveNoSuchLimit) {
  identity::Random random(11);
  RoutingTable lan = table(random);
  for (int i = 0; i < 50; ++i) lan.heard(random_contact(random, 0x80), true, kNow);
  EXPECT_EQ(lan.size(), 50u);
  RoutingConfig keyed;
  keyed.diversity.enabled = false;
  RoutingTable invited(proto::PeerId{}, keyed, random);
  for (std::uint8_t i = 0; i < 50; ++i)
    invited.heard(public_contact(random, {203, 0, 113, i}), true, kNow);
  EXPECT_EQ(invited.size(), 50u);
}

TEST(RoutingTableTest, InASmallTableNewcomersAreCheckedAtOnceAndEverybodyWithinEighteenSeconds) {
  identity::Random random(12);
  RoutingTable routing = table(random);
  for (int i = 0; i < 20; ++i) routing.heard(random_contact(random), false, kNow);
  EXPECT_EQ(checked(routing, kNow, seconds(2)).size(), 20u);  // one each 100 ms
  EXPECT_EQ(routing.verified(), 20u);
  const TimePoint later = kNow + seconds(2);
  EXPECT_TRUE(checked(routing, later, seconds(9)).empty());
  std::set<Contact> all;
  for (const Contact& contact : checked(routing, later + seconds(9), seconds(9)))
    all.insert(contact);
  EXPECT_EQ(all.size(), 20u);
}

TEST(RoutingTableTest, AnySignOfLifePostponesTheCheck) {
  identity::Random random(13);
  RoutingTable routing = table(random);
  const Contact contact = random_contact(random);
  routing.heard(contact, true, kNow);
  for (int second = 5; second < 60; second += 5) {
    routing.heard(contact, false, kNow + seconds(second));
    EXPECT_TRUE(checked(routing, kNow + seconds(second), seconds(5)).empty());
  }
  EXPECT_EQ(checked(routing, kNow + seconds(60), seconds(14)).size(), 1u);
}

TEST(RoutingTableTest, WhoFailedIsCheckedAgainSoonButNotWhileACheckIsUnderWay) {
  identity::Random random(14);
  RoutingTable routing = table(random);
  const Contact contact = random_contact(random);
  routing.heard(contact, true, kNow);
  const TimePoint later = kNow + seconds(20);
  EXPECT_EQ(checked(routing, later, seconds(9), false).size(), 1u);
  routing.failed(contact.peer, false, later + seconds(9));
  EXPECT_EQ(checked(routing, later + seconds(9), milliseconds(1200), false).size(), 1u);
}

TEST(RoutingTableTest, ALargeTableHasOneCheckInFiveSecondsFromEveryBucketInTurn) {
  identity::Random random(15);
  RoutingTable routing = table(random);
  for (int i = 0; i < 2000; ++i) routing.heard(random_contact(random), true, kNow);
  const auto contacts = checked(routing, kNow + minutes(2), minutes(2));
  EXPECT_NEAR(static_cast<double>(contacts.size()), 24, 3);
  std::set<int> buckets;
  std::set<Contact> different;
  for (const Contact& contact : contacts) {
    buckets.insert(common_prefix(Key{}, key_of(contact.peer)));
    different.insert(contact);
  }
  EXPECT_EQ(static_cast<int>(buckets.size()), routing.deepest_bucket() + 1);
  EXPECT_GE(different.size() + 5, contacts.size());  // only the deepest have too few
}

TEST(RoutingTableTest, TheUnverifiedComeFirstAndDoNotStarveTheOthers) {
  identity::Random random(16);
  RoutingTable routing = table(random);
  for (int i = 0; i < 500; ++i) routing.heard(random_contact(random), true, kNow);
  const std::size_t known = routing.size();
  std::vector<Contact> rumours;
  while (routing.size() < known + 15) {
    rumours.push_back(random_contact(random, 0x01));
    routing.learned(rumours.back(), kNow);
  }
  std::size_t urgent = 0, routine = 0;
  for (const Contact& contact : checked(routing, kNow + minutes(2), minutes(2))) {
    const bool rumour = std::find(rumours.begin(), rumours.end(), contact) != rumours.end();
    ++(rumour ? urgent : routine);
  }
  EXPECT_GE(urgent, 12u);
  EXPECT_GE(routine, 4u);
}

TEST(RoutingTableTest, AMostlyUnverifiedTableIsCheckedFaster) {
  identity::Random random(17);
  RoutingTable routing = table(random);
  for (int i = 0; i < 500; ++i) routing.learned(random_contact(random), kNow);
  EXPECT_NEAR(static_cast<double>(checked(routing, kNow, seconds(60)).size()), 30, 3);
}

TEST(RoutingTableTest, EstimatesTheSwarmFromItsNeighbourhood) {
  for (const std::size_t n : {200u, 2000u}) {
    double sum = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      identity::Random random(seed);
      RoutingTable routing = table(random);
      for (std::size_t i = 0; i < n; ++i) routing.heard(random_contact(random), true, kNow);
      sum += routing.estimated_peers();
    }
    EXPECT_NEAR(sum / 20, static_cast<double>(n), 0.2 * static_cast<double>(n));
  }
}

}  // namespace
}  // namespace shoal::dht
