// SPDX-License-Identifier: Apache-2.0
// What a node dials when a client names a next hop: what that peer's own record announces, within
// the reach that this node has itself, and not often.
#include "node/serve/next_hop_book.h"

#include <gtest/gtest.h>

#include <map>

#include "identity/identity.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr DialReach kFar{};
constexpr DialReach kHere{.loopback = true, .private_networks = true};
constexpr proto::BlockIndex kBlock = 4;

proto::Endpoint at(const char* text) { return *proto::parse_endpoint(text); }

const identity::Identity& identity(int id) {
  static std::map<int, identity::Identity> known;
  const auto found = known.find(id);
  if (found != known.end()) return found->second;
  std::array<std::uint8_t, 32> seed{};
  seed[0] = static_cast<std::uint8_t>(id);
  seed[1] = static_cast<std::uint8_t>(id >> 8);
  return known.emplace(id, identity::Identity::from_seed(seed)).first->second;
}

dht::Record record(int id, std::vector<proto::Address> addresses, proto::Span span = {4, 8}) {
  dht::Record record;
  record.public_key = identity(id).public_key();
  record.load.state = proto::NodeState::kOnline;
  record.offer.span = span;
  record.addresses = std::move(addresses);
  return record;
}
proto::PeerId id_of(int id) { return identity(id).peer_id(); }

NextHopBook::Question question(int next, int client = 100, const char* from = "9.9.9.9:1") {
  return {id_of(client), at(from), id_of(next), kBlock};
}

dht::TimePoint time(int s) { return dht::TimePoint(seconds(s)); }

TEST(DialReach, NobodyIsAWindowIntoTheNetworkBehindHim) {
  const auto reach = [](std::vector<proto::Endpoint> announced, bool keyed = false) {
    return dial_reach(announced, keyed);
  };
  const DialReach far = reach({at("8.8.8.8:7000")});
  EXPECT_FALSE(may_dial(far, at("127.0.0.1:22")));
  EXPECT_FALSE(may_dial(far, at("[::1]:22")));
  EXPECT_FALSE(may_dial(far, at("192.168.1.1:80")));
  EXPECT_FALSE(may_dial(far, at("10.0.0.1:80")));
  EXPECT_FALSE(may_dial(far, at("100.64.0.1:80")));
  EXPECT_FALSE(may_dial(far, at("[fd00::1]:80")));
  EXPECT_TRUE(may_dial(far, at("9.9.9.9:7000")));
  EXPECT_TRUE(may_dial(far, at("[2a00::1]:7000")));
  const DialReach both = reach({at("8.8.8.8:7000"), at("192.168.1.5:7000"), at("127.0.0.1:7000")});
  EXPECT_FALSE(may_dial(both, at("192.168.1.1:80"))) << "strangers reach it";
  EXPECT_FALSE(may_dial(both, at("127.0.0.1:80")));
  const DialReach lan = reach({at("192.168.1.5:7000")});
  EXPECT_TRUE(may_dial(lan, at("192.168.1.6:7000")));
  EXPECT_FALSE(may_dial(lan, at("127.0.0.1:22")));
  const DialReach here = reach({at("127.0.0.1:7000")});
  EXPECT_TRUE(may_dial(here, at("127.0.0.1:7001")));
  EXPECT_TRUE(may_dial(here, at("192.168.1.6:7000")));
  const DialReach members = reach({at("8.8.8.8:7000")}, true);
  EXPECT_TRUE(may_dial(members, at("10.0.0.1:7000")));
  EXPECT_FALSE(may_dial(members, at("127.0.0.1:22")));
  for (const char* nowhere :
       {"169.254.1.1:80", "0.0.0.0:80", "0.1.2.3:80", "224.0.0.1:80", "255.255.255.255:80",
        "8.8.8.8:0", "[fe80::1]:80", "[ff02::1]:80", "[::]:80"}) {
    EXPECT_FALSE(may_dial(kHere, at(nowhere))) << nowhere;
  }
}

TEST(NextHopBook, OnlyTheNamedPeersOwnRecordOfTheBlockCounts) {
  NextHopBook book;
  EXPECT_TRUE(book.must_look_up(question(1), time(0)));
  EXPECT_TRUE(book.addresses(question(1), kFar, time(0)).empty());
  book.learned(kBlock, {record(1, {at("8.8.1.1:7000")}), record(2, {at("8.8.2.2:7000")}, {0, 4})},
               time(0));
  EXPECT_EQ(book.addresses(question(1), kFar, time(0)),
            std::vector<proto::Address>{at("8.8.1.1:7000")});
  EXPECT_TRUE(book.addresses(question(2), kFar, time(0)).empty()) << "it serves other blocks";
  EXPECT_TRUE(book.addresses(question(3), kFar, time(0)).empty());
  dht::Record gone = record(1, {at("8.8.1.1:7000")});
  gone.load.state = proto::NodeState::kOffline;
  book.learned(kBlock, {gone}, time(1));
  EXPECT_TRUE(book.addresses(question(1), kFar, time(1)).empty());
}

TEST(NextHopBook, RecordsAreReadAgainAfterAWhileAndAfterAFailure) {
  NextHopBook book;
  book.learned(kBlock, {record(1, {at("8.8.1.1:7000")})}, time(100));
  EXPECT_FALSE(book.must_look_up(question(1), time(105)));
  EXPECT_TRUE(book.must_look_up(question(1), time(111)));
  EXPECT_TRUE(book.knows(question(1), time(111))) << "nobody waits for that";
  EXPECT_FALSE(book.knows(question(1), time(161)));
  EXPECT_FALSE(book.must_look_up(question(2), time(100))) << "who is not there is not there yet";
  EXPECT_TRUE(book.must_look_up(question(2), time(102)));
  EXPECT_TRUE(book.read_since(kBlock, time(100)));
  EXPECT_FALSE(book.read_since(kBlock, time(101)));
  EXPECT_FALSE(book.read_since(kBlock + 1, time(0)));
  book.failed(question(1));
  EXPECT_TRUE(book.must_look_up(question(1), time(105)));
}

TEST(NextHopBook, AddressesOutOfReachAreLeftOut) {
  NextHopBook book;
  book.learned(kBlock, {record(1, {at("127.0.0.1:22"), at("192.168.0.1:80"), at("8.8.1.1:7000")})},
               time(0));
  EXPECT_EQ(book.addresses(question(1), kFar, time(0)),
            std::vector<proto::Address>{at("8.8.1.1:7000")});
}

TEST(NextHopBook, WhereWeAreTheRelayOurOwnFrontIsDialled) {
  NextHopBook book;
  const proto::Address through_us = proto::Address::through(id_of(7), at("8.8.7.7:7000"));
  const proto::Address own = proto::Address::through(id_of(7), at("127.0.0.1:7000"));
  DialReach reach = kFar;
  reach.own_relay = own;
  const proto::Address other = proto::Address::through(id_of(8), at("8.8.8.8:7000"));
  book.learned(kBlock, {record(1, {through_us, other})}, time(0));
  EXPECT_EQ(book.addresses(question(1), reach, time(0)), (std::vector<proto::Address>{own, other}));
}

TEST(NextHopBook, RelaysAreDialledWhereNodesWouldBe) {
  NextHopBook book;
  const proto::Address relayed = proto::Address::through(id_of(7), at("8.8.7.7:7000"));
  for (const char* within : {"127.0.0.1:22", "192.168.0.1:80", "169.254.1.1:80", "0.0.0.0:7000"}) {
    EXPECT_FALSE(may_dial(kFar, proto::Address::through(id_of(7), at(within)))) << within;
  }
  const proto::Address inside = proto::Address::through(id_of(7), at("192.168.0.1:80"));
  book.learned(kBlock, {record(1, {inside, relayed}), record(2, {inside})}, time(0));
  EXPECT_EQ(book.addresses(question(1), kFar, time(0)), std::vector<proto::Address>{relayed});
  EXPECT_TRUE(book.addresses(question(2), kFar, time(0)).empty());
}

// A stranger with as many identities as he likes, each with a record that names another port.
TEST(NextHopBook, DialsIntoTheUnknownAreFewWhoeverAsks) {
  for (const bool many_clients : {false, true}) {
    NextHopBook book;
    std::vector<dht::Record> records;
    for (int id = 0; id < 400; ++id) records.push_back(record(id, {at("8.8.8.8:7000")}));
    book.learned(kBlock, records, time(0));
    int dialled = 0;
    for (int id = 0; id < 400; ++id) {
      const auto asked = question(id, many_clients ? 1000 + id : 1000);
      if (!book.addresses(asked, kFar, time(0)).empty()) ++dialled;
    }
    EXPECT_EQ(dialled, many_clients ? 64 : 16);
    // An honest client of another network is served all the same.
    EXPECT_FALSE(book.addresses(question(399, 5000, "7.7.7.7:1"), kFar, time(0)).empty());
  }
}

TEST(NextHopBook, WhoWasReachedBeforeCostsNothing) {
  NextHopBook book;
  const std::vector<proto::Address> addresses = {at("8.8.1.1:7000")};
  book.learned(kBlock, {record(1, addresses)}, time(0));
  book.worked(id_of(1), addresses[0]);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(book.addresses(question(1), kFar, time(0)).empty());
  }
  EXPECT_TRUE(book.proven(id_of(1), addresses));
  EXPECT_FALSE(book.proven(id_of(1), std::vector<proto::Address>{at("8.8.1.1:22")}))
      << "another port of the same peer may be a question about that port";
  EXPECT_FALSE(book.proven(id_of(1), {}));
  EXPECT_FALSE(book.proven(id_of(2), addresses));
}

TEST(NextHopBook, SessionsThatAreOpenedTogetherAreOneDial) {
  NextHopBook book;
  book.learned(kBlock, {record(1, {at("8.8.1.1:7000")})}, time(0));
  for (int i = 0; i < 64; ++i) {
    ASSERT_FALSE(book.addresses(question(1), kFar, time(0)).empty()) << i;
  }
}

}  // namespace
}  // namespace shoal::node
