// SPDX-License-Identifier: Apache-2.0
// The DHT core in a simulated network: what must hold when peers vanish, datagrams are lost and
// groups are cut off. Another seed: SHOAL_SIM_SEED=N in the environment; a failure prints the whole
// command.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <set>

#include "tests/dht/example_record.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {
namespace {

using dht::Event;
using dht::example_model;
using dht::example_record;
using dht::Key;
using dht::minutes;
using dht::seconds;

std::uint64_t seed() {
  const char* text = std::getenv("SHOAL_SIM_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

std::string rerun() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  return "SHOAL_SIM_SEED=" + std::to_string(seed()) +
         " dht_sim_test --gtest_filter=" + info->test_suite_name() + "." + info->name();
}

const Key kModelKey = dht::model_key({}, example_model());

LinkModel internet(double loss = 0.02) {
  LinkModel links;
  links.loss = loss;
  links.duplication = 0.01;
  return links;
}

SwarmOptions laboratory(std::uint64_t seed, const LinkModel& links) {
  return {seed, links, AddressKind::kPrivate};
}

// Peers [begin, end) and the others cannot hear each other until the network heals.
void cut_off(Swarm& net, PeerIndex begin, PeerIndex end) {
  for (PeerIndex peer = begin; peer < end; ++peer) net.network().set_group(peer, 1);
  net.network().cut(0, 1, true);
  net.network().cut(1, 0, true);
}

// n peers, each joined through one of those before it.
void grow(Swarm& net, std::size_t n, dht::Duration pace = dht::milliseconds(50)) {
  std::vector<std::pair<PeerIndex, dht::OperationId>> joins;
  while (net.size() < n) {
    const PeerIndex peer = net.add();
    if (peer > 0) {
      joins.emplace_back(
          peer, net.bootstrap(peer, {0, static_cast<PeerIndex>(net.random().below(peer))}));
    }
    net.run_for(pace);
  }
  for (const auto& [peer, id] : joins) {
    const auto done = net.wait(peer, id);
    ASSERT_TRUE(done && done->ok) << "peer " << peer << " did not join";
  }
}

std::set<proto::PeerId> found(Swarm& net, PeerIndex peer, const Key& key) {
  const auto done = net.wait(peer, net.find(peer, key));
  std::set<proto::PeerId> subjects;
  EXPECT_TRUE(done) << "find never ended";
  if (done) {
    for (const dht::Record& record : done->records) subjects.insert(record.peer_id());
  }
  return subjects;
}

PeerIndex random_live(Swarm& net) {
  for (;;) {
    const auto peer = static_cast<PeerIndex>(net.random().below(net.size()));
    // Up, and past its own join.
    if (net.is_up(peer) && net.core(peer).stats().contacts >= 3) return peer;
  }
}

double percentile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(p * static_cast<double>(values.size())))];
}

struct Trace {
  std::uint64_t hash = 0, events = 0;
  int found = 0;
};

// A swarm of which a fifth dies amid lookups. The links are slow, so that within the shortest way
// many peers are due.
Trace lookups_amid_deaths(int threads) {
  LinkModel links = internet();
  links.median_rtt_ms = 400;
  SwarmOptions options = laboratory(seed(), links);
  options.threads = threads;
  Swarm net(options);
  Trace trace;
  constexpr PeerIndex kPeers = 60;
  grow(net, kPeers);
  for (PeerIndex peer = 0; peer < 30; ++peer) net.publish(peer, example_record(0));
  net.run_for(seconds(20));
  for (PeerIndex peer = 0; peer < kPeers; peer += 5) net.crash(peer);
  for (PeerIndex peer = 1; peer < kPeers; peer += 5)
    net.find(peer, kModelKey, [&](const Event& event) { trace.found += !event.records.empty(); });
  net.run_for(seconds(30));
  trace.hash = net.trace_hash();
  trace.events = net.events();
  return trace;
}

TEST(DhtSimTest, TheRunIsTheSameOnAnyNumberOfThreads) {
  SCOPED_TRACE(rerun());
  const Trace alone = lookups_amid_deaths(1);
  EXPECT_EQ(alone.found, 12);
  const Trace together = lookups_amid_deaths(3);
  EXPECT_EQ(together.hash, alone.hash);
  EXPECT_EQ(together.events, alone.events);
  EXPECT_EQ(together.found, alone.found);
}

TEST(DhtSimTest, TwoHundredPeersThirtyPercentVanishTwoPercentLoss) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet()));
  ASSERT_NO_FATAL_FAILURE(grow(net, 200));
  net.run_for(seconds(30));
  std::set<proto::PeerId> owners;
  for (PeerIndex peer = 0; peer < 24; ++peer) {
    const auto done = net.wait(peer, net.publish(peer, example_record(0, {0, 2})));
    ASSERT_TRUE(done);
    EXPECT_GE(done->replicas, 6) << "of 8";
    owners.insert(net.identity(peer).peer_id());
  }
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(found(net, random_live(net), kModelKey) == owners);

  for (PeerIndex peer = 24; peer < 200; ++peer) {
    if (net.random().below(1000) < 341) net.crash(peer);  // 60 of the 176 that own nothing
  }
  std::vector<double> took_ms, messages;
  int complete = 0;
  constexpr int kLookups = 60;
  for (int i = 0; i < kLookups; ++i) {
    const PeerIndex peer = random_live(net);
    const dht::TimePoint begin = net.now();
    const std::uint64_t sent = net.sent(peer);
    complete +=
        found(net, peer, i % 2 == 0 ? kModelKey : dht::block_key({}, example_model(), 1)) == owners;
    took_ms.push_back(static_cast<double>((net.now() - begin).count()) / 1e6);
    messages.push_back(static_cast<double>(net.sent(peer) - sent));
  }
  std::cout << "30 % vanished: " << complete << " of " << kLookups << " lookups complete, p50 "
            << percentile(took_ms, 0.5) << " ms, p99 " << percentile(took_ms, 0.99)
            << " ms, datagrams sent p50 " << percentile(messages, 0.5) << ", " << net.events()
            << " events\n";
  EXPECT_GE(complete, kLookups - 1);
  // Every table is bounded whatever happened.
  for (PeerIndex peer = 0; peer < net.size(); ++peer) {
    if (!net.is_up(peer)) continue;
    EXPECT_LE(net.core(peer).stats().contacts, 200u);
    EXPECT_LE(net.core(peer).stats().operations, 1u) << peer;  // a refresh may be under way
  }
}

TEST(DhtSimTest, WithdrawalIsSeenByAllAndOutlivesOldReplicas) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet()));
  ASSERT_NO_FATAL_FAILURE(grow(net, 60));
  for (const PeerIndex peer : {1u, 2u})
    ASSERT_TRUE(net.wait(peer, net.publish(peer, example_record(0))));
  // One holder is cut off and keeps the old record.
  cut_off(net, 3, 6);
  dht::Record withdrawn = example_record(0);
  withdrawn.load.state = proto::NodeState::kOffline;
  ASSERT_TRUE(net.wait(1, net.publish(1, withdrawn)));
  net.crash(1);
  net.network().heal();
  const std::set<proto::PeerId> expected = {net.identity(2).peer_id()};
  for (PeerIndex peer = 6; peer < 60; ++peer)
    EXPECT_EQ(found(net, peer, kModelKey), expected) << peer;
  net.run_for(minutes(4));
  EXPECT_TRUE(found(net, 20, kModelKey).empty()) << "nobody refreshed";
}

TEST(DhtSimTest, RecordOfACrashedPeerExpiresEverywhere) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet()));
  ASSERT_NO_FATAL_FAILURE(grow(net, 25));
  ASSERT_TRUE(net.wait(1, net.publish(1, example_record(0))));
  const dht::TimePoint published = net.now();
  net.crash(1);
  // Newcomers are handed the record, but never more time than it has left.
  while (net.now() < published + seconds(150)) {
    const PeerIndex newcomer = net.add();
    ASSERT_TRUE(net.wait(newcomer, net.bootstrap(newcomer, {0}))->ok);
    net.run_for(seconds(15));
  }
  EXPECT_EQ(found(net, net.size() - 1, kModelKey).size(), 1u);
  net.run_for(published + seconds(182) - net.now());
  for (PeerIndex peer = 0; peer < net.size(); ++peer) {
    if (net.is_up(peer)) {
      EXPECT_TRUE(found(net, peer, kModelKey).empty()) << peer;
    }
  }
}

TEST(DhtSimTest, LiveRecordsStayFindableUnderChurn) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet()));
  constexpr std::size_t kPeers = 40, kOwners = 5;
  ASSERT_NO_FATAL_FAILURE(grow(net, kPeers));
  std::set<proto::PeerId> owners;
  for (PeerIndex peer = 0; peer < kOwners; ++peer) owners.insert(net.identity(peer).peer_id());
  int complete = 0, lookups = 0;
  for (int minute = 0; minute < 12; ++minute) {
    for (PeerIndex peer = 0; peer < kOwners; ++peer) net.publish(peer, example_record(0));
    for (int part = 0; part < 6; ++part) {
      net.run_for(seconds(10));
      // Lifetimes of 10 minutes: each 10 s a sixtieth of the peers dies, and as many return or are
      // new.
      for (PeerIndex peer = kOwners; peer < net.size(); ++peer) {
        if (net.is_up(peer) && net.random().below(60) == 0) {
          net.crash(peer);
        } else if (!net.is_up(peer) && net.random().below(30) == 0) {
          net.restart(peer);
          net.bootstrap(peer, {0, 1});
        }
      }
      if (minute == 0) continue;
      complete += found(net, random_live(net), kModelKey) == owners;
      ++lookups;
    }
  }
  std::cout << "churn: " << complete << " of " << lookups << " lookups complete, " << net.events()
            << " events\n";
  EXPECT_EQ(complete, lookups);
}

TEST(DhtSimTest, PartsOfASwarmFindEachOtherAgain) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet()));
  ASSERT_NO_FATAL_FAILURE(grow(net, 12));
  cut_off(net, 6, 12);
  net.run_for(minutes(3));
  for (PeerIndex peer = 0; peer < 12; ++peer)
    EXPECT_EQ(net.core(peer).stats().contacts, 5u) << peer;
  ASSERT_TRUE(net.wait(1, net.publish(1, example_record(0))));
  ASSERT_TRUE(net.wait(7, net.publish(7, example_record(0))));
  EXPECT_EQ(found(net, 8, kModelKey).size(), 1u);
  net.network().heal();
  net.run_for(seconds(60));
  for (PeerIndex peer = 0; peer < 12; ++peer) {
    EXPECT_EQ(net.core(peer).stats().contacts, 11u) << peer;
    EXPECT_EQ(found(net, peer, kModelKey).size(), 2u) << peer;
  }
}

TEST(DhtSimTest, RestartedPeersLearnTheLiveRecordsAgain) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet()));
  ASSERT_NO_FATAL_FAILURE(grow(net, 8));
  for (PeerIndex peer = 1; peer < 4; ++peer)
    ASSERT_TRUE(net.wait(peer, net.publish(peer, example_record(0))));
  for (PeerIndex peer = 4; peer < 8; ++peer) {
    net.crash(peer);
    net.run_for(seconds(1));
    net.restart(peer);  // the others still have it in their tables, with sessions it has forgotten
    ASSERT_TRUE(net.wait(peer, net.bootstrap(peer, {0}))->ok);
    net.run_for(seconds(2));
  }
  // The bootstrap itself: it knows nobody when it returns, and the others come back to it.
  net.crash(0);
  net.run_for(minutes(1));
  net.restart(0);
  net.run_for(seconds(40));
  EXPECT_EQ(net.core(0).stats().contacts, 7u);
  for (PeerIndex peer = 0; peer < 8; ++peer) EXPECT_EQ(net.core(peer).store().size(), 3u) << peer;
}

TEST(DhtSimTest, SmallSwarmsFormEvenWhenOneDatagramInFiveIsLost) {
  SCOPED_TRACE(rerun());
  for (const std::size_t n : {2u, 3u, 5u, 10u}) {
    Swarm net(laboratory(seed() + n, internet(0.2)));
    ASSERT_NO_FATAL_FAILURE(grow(net, n));
    for (PeerIndex peer = 0; peer < n; ++peer)
      ASSERT_TRUE(net.wait(peer, net.publish(peer, example_record(0))));
    net.run_for(minutes(1));
    net.network().model().loss = 0;
    net.run_for(seconds(40));
    for (PeerIndex peer = 0; peer < n; ++peer) {
      EXPECT_EQ(net.core(peer).stats().contacts, n - 1) << n;
      EXPECT_EQ(found(net, peer, kModelKey).size(), n) << peer;
    }
  }
}

// What large tables may leave for minutes, small ones may not: the interval of the last refresh
// does not hold once everybody is to know everybody.
TEST(DhtSimTest, ASwarmThatHasBecomeSmallRefreshesSoon) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet(0)));
  ASSERT_NO_FATAL_FAILURE(grow(net, 24));
  net.run_for(minutes(4));
  // Two halves that do not hear each other, three peers that both hear; all others die.
  for (PeerIndex peer = 3; peer < 9; ++peer) net.network().set_group(peer, 1);
  for (PeerIndex peer = 9; peer < 15; ++peer) net.network().set_group(peer, 2);
  net.network().cut(1, 2, true);
  net.network().cut(2, 1, true);
  for (PeerIndex peer = 15; peer < 24; ++peer) net.crash(peer);
  net.run_for(minutes(2));
  const auto knows = [&](PeerIndex a, PeerIndex b) {
    return net.core(a).table().find(net.identity(b).peer_id()) != nullptr;
  };
  for (PeerIndex a = 3; a < 9; ++a) {
    for (PeerIndex b = 9; b < 15; ++b) ASSERT_FALSE(knows(a, b) || knows(b, a));
  }
  net.network().heal();
  net.run_for(seconds(40));
  for (PeerIndex a = 0; a < 15; ++a) {
    for (PeerIndex b = 0; b < 15; ++b) EXPECT_TRUE(a == b || knows(a, b)) << a << " " << b;
  }
}

TEST(DhtSimTest, SameSeedSameTrace) {
  const auto run = [](std::uint64_t seed) {
    Swarm net(laboratory(seed, internet()));
    grow(net, 15);
    for (PeerIndex peer = 0; peer < 15; ++peer) net.publish(peer, example_record(0));
    net.crash(3);
    net.run_for(minutes(2));
    return net.trace_hash();
  };
  EXPECT_EQ(run(seed()), run(seed()));
  EXPECT_NE(run(seed()), run(seed() + 1));
}

TEST(DhtSimTest, ClientsAreServedAndKnownToNobody) {
  SCOPED_TRACE(rerun());
  Swarm net(laboratory(seed(), internet()));
  ASSERT_NO_FATAL_FAILURE(grow(net, 30));
  ASSERT_TRUE(net.wait(5, net.publish(5, example_record(0))));
  const auto options = std::make_shared<dht::KademliaConfig>();
  options->client_mode = true;
  const PeerIndex client = net.add(options);
  ASSERT_TRUE(net.wait(client, net.bootstrap(client, {3}))->ok);
  EXPECT_EQ(found(net, client, kModelKey).size(), 1u);
  net.run_for(minutes(5));
  EXPECT_EQ(found(net, client, kModelKey).size(), 0u);  // expired by now
  for (PeerIndex peer = 0; peer < 30; ++peer) {
    EXPECT_EQ(net.core(peer).table().find(net.identity(client).peer_id()), nullptr);
  }
}

}  // namespace
}  // namespace shoal::sim
