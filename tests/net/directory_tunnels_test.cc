// SPDX-License-Identifier: Apache-2.0
// The directory through connections, over real sockets: who is let in, what comes back, and what a
// peer that breaks the rules or wants too much has of it.
#include "net/directory_tunnels.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "net/server.h"
#include "proto/limits.h"
#include "tests/dht/loopback_swarm.h"
#include "tests/identity/examples.h"
#include "tests/net/tls_talker.h"

namespace shoal::net {
namespace {

using dht::LoopbackSwarm;
using Member = LoopbackSwarm::Member;
using OptionalKey = std::optional<identity::SwarmKey>;

struct DirectoryTunnelsTest : testing::Test {
  ~DirectoryTunnelsTest() override {
    for (auto& member : swarm.members()) swarm.stop(*member);  // before the fronts
  }

  // With TCP on the same port number, which may be in use where UDP's is free: as open_ports does.
  Member& add_node(const OptionalKey& key = {}) {
    constexpr int kTries = 16;
    const identity::Identity who = identity::identity_of(1);
    for (int attempt = 1;; ++attempt) {
      auto tunnels = std::make_shared<DirectoryTunnels>(swarm.io(), who, key);
      dht::UdpServiceOptions options{dht::kLoopback, false, key};
      options.tunnels = tunnels;
      Member& member = swarm.add(options, who);
      auto server = start_server(member.endpoint, who, key, {});
      if (!server.ok()) {
        CHECK(absl::IsAlreadyExists(server.status()) && attempt < kTries) << server.status();
        swarm.stop(member);
        continue;
      }
      front = server->front.get();
      front->open_door(kDirectoryProtocol, DirectoryTunnels::door(tunnels));
      servers.push_back(*std::move(server));
      accepting = tunnels;
      return member;
    }
  }
  Member& add_client(const OptionalKey& key = {}) {
    const identity::Identity who = identity::Identity::generate();
    dht::UdpServiceOptions options{dht::kLoopback, true, key};
    dialling = std::make_shared<DirectoryTunnels>(swarm.io(), who, key);
    options.tunnels = dialling;
    options.udp = dht::UdpUse::kOff;
    return swarm.add(options, who);
  }
  std::size_t accepted() {
    return swarm.on_io([&] { return accepting->accepted(); });
  }

  LoopbackSwarm swarm;     // its thread outlives the rest
  Front* front = nullptr;  // of the last node
  std::vector<RunningServer> servers;
  std::shared_ptr<DirectoryTunnels> accepting, dialling;
};

TEST_F(DirectoryTunnelsTest, RecordsAreReadWithoutADatagram) {
  Member& node = add_node();
  swarm.publish(node, dht::example_record(1));
  Member& client = add_client();
  ASSERT_TRUE(swarm.bootstrap(client, {node.endpoint}).ok());
  EXPECT_EQ(swarm.find(client, dht::models_key({})).size(), 1u);
  EXPECT_EQ(accepted(), 1u) << "one connection for all of it";
  EXPECT_EQ(swarm.stats(node).contacts, 0u);
}

TEST_F(DirectoryTunnelsTest, WhoeverHasNotTheKeyIsNotLetIn) {
  Member& node = add_node(identity::generate_swarm_key());
  Member& stranger = add_client();
  EXPECT_FALSE(swarm.bootstrap(stranger, {node.endpoint}, 1'000).ok());
  EXPECT_EQ(accepted(), 0u);
}

TEST_F(DirectoryTunnelsTest, AMemberIsLetIn) {
  const OptionalKey key = identity::generate_swarm_key();
  Member& node = add_node(key);
  Member& client = add_client(key);
  EXPECT_TRUE(swarm.bootstrap(client, {node.endpoint}).ok());
}

TEST_F(DirectoryTunnelsTest, ANodeThatReturnsIsReachedAgain) {
  Member& node = add_node();
  Member& client = add_client();
  ASSERT_TRUE(swarm.bootstrap(client, {node.endpoint}).ok());
  swarm.on_io([&] {
    dialling->hang_up();  // as a network that forgot the connection
    return 0;
  });
  EXPECT_TRUE(swarm.bootstrap(client, {node.endpoint}).ok());
}

TEST_F(DirectoryTunnelsTest, WhatIsNoDatagramEndsTheConnectionAndIsRemembered) {
  Member& node = add_node();
  TlsTalker talker(identity::identity_of(2), node.endpoint);
  ASSERT_TRUE(talker.handshake(kDirectoryProtocol));
  ASSERT_TRUE(talker.send(std::string_view("\xff\xff no datagram", 14)));
  EXPECT_EQ(talker.receive(1), "");
  EXPECT_EQ(front->stats().bans, 1u);
  TlsTalker again(identity::identity_of(2), node.endpoint);
  EXPECT_FALSE(again.handshake(kDirectoryProtocol) && again.receive(1) != "");
}

// A datagram that the directory makes nothing of is no offence: any network may garble one.
TEST_F(DirectoryTunnelsTest, StrangeDatagramsAreDropped) {
  Member& node = add_node();
  TlsTalker talker(identity::identity_of(2), node.endpoint);
  ASSERT_TRUE(talker.handshake(kDirectoryProtocol));
  std::string frames;
  for (int i = 0; i < 50; ++i) dht::append_frame(frames, std::string(100, static_cast<char>(i)));
  ASSERT_TRUE(talker.send(frames));
  ASSERT_TRUE(dht::eventually([&] { return swarm.stats(node).datagrams_in >= 50; }));
  EXPECT_EQ(accepted(), 1u);
  EXPECT_EQ(front->stats().bans, 0u);
}

TEST_F(DirectoryTunnelsTest, APeerHasTwoAndTheLongestUnusedGoes) {
  Member& node = add_node();
  std::vector<std::unique_ptr<TlsTalker>> talkers;
  for (std::size_t i = 0; i <= proto::kMaxTunnelsPerPeer; ++i) {
    talkers.push_back(std::make_unique<TlsTalker>(identity::identity_of(2), node.endpoint));
    ASSERT_TRUE(talkers.back()->handshake(kDirectoryProtocol));
    ASSERT_TRUE(
        dht::eventually([&] { return accepted() == std::min(i + 1, proto::kMaxTunnelsPerPeer); }));
  }
  EXPECT_EQ(talkers.front()->receive(1), "") << "closed";
  EXPECT_EQ(accepted(), proto::kMaxTunnelsPerPeer);
}

// However many peers it invents, whoever sits in one network pushes out its own connections and
// nobody else's, not even those that were used the longest ago.
TEST_F(DirectoryTunnelsTest, ANetworkHasAShareAndPushesOutItsOwn) {
  Member& node = add_node();
  const auto bystander = identity::identity_of(2);
  const proto::Endpoint elsewhere = proto::Endpoint::v4({203, 0, 113, 9}, 40'000);
  int next = 0;  // of the door's calls, which come one at a time
  front->open_door(
      kDirectoryProtocol, [&, real = DirectoryTunnels::door(accepting)](Visitor visitor) {
        visitor.from = elsewhere;
        if (visitor.peer != bystander.peer_id()) {
          visitor.from =
              proto::Endpoint::v4({198, 51, 100, static_cast<std::uint8_t>(next++ % 256)}, 40'000);
        }
        real(std::move(visitor));
      });
  TlsTalker quiet(bystander, node.endpoint);
  ASSERT_TRUE(quiet.handshake(kDirectoryProtocol));
  ASSERT_TRUE(dht::eventually([&] { return accepted() == 1; }));
  constexpr std::size_t kShare = proto::kMaxAcceptedTunnels / 4;
  std::vector<std::unique_ptr<TlsTalker>> crowd;
  for (std::size_t i = 0; i <= proto::kMaxAcceptedTunnels; ++i) {
    // The front's own limits look at where they come from in truth.
    const auto from = proto::Endpoint::v4({127, 0, 0, static_cast<std::uint8_t>(2 + i % 16)}, 0);
    crowd.push_back(
        std::make_unique<TlsTalker>(identity::Identity::generate(), node.endpoint, from));
    ASSERT_TRUE(crowd.back()->handshake(kDirectoryProtocol)) << i;
    ASSERT_TRUE(dht::eventually([&] { return accepted() == 1 + std::min(i + 1, kShare); })) << i;
  }
  EXPECT_EQ(crowd.front()->receive(1), "") << "closed";
  const auto before = swarm.stats(node).datagrams_in;
  std::string frame;
  dht::append_frame(frame, std::string(100, 'x'));
  ASSERT_TRUE(quiet.send(frame));
  EXPECT_TRUE(dht::eventually([&] { return swarm.stats(node).datagrams_in > before; }))
      << "it is still heard";
  front->close_door(kDirectoryProtocol);  // before what it refers to goes
}

// Faster than the limit of one connection: what it sends waits in its own socket, and others are
// served meanwhile.
TEST_F(DirectoryTunnelsTest, AFloodWaitsAndOthersAreServed) {
  Member& node = add_node();
  TlsTalker flood(identity::identity_of(2), node.endpoint);
  ASSERT_TRUE(flood.handshake(kDirectoryProtocol));
  std::string frames;
  for (int i = 0; i < 2'000; ++i) dht::append_frame(frames, std::string(40, 'x'));
  ASSERT_TRUE(flood.send(frames));
  Member& client = add_client();
  EXPECT_TRUE(swarm.bootstrap(client, {node.endpoint}, 2'000).ok());
  const auto taken = swarm.stats(node).datagrams_in;
  EXPECT_LT(taken, 1'500u);
  EXPECT_GE(taken, 400u);
}

}  // namespace
}  // namespace shoal::net
