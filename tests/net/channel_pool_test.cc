// SPDX-License-Identifier: Apache-2.0
// One channel per peer; dead peers are noticed at once, and a restarted one is found
// again.
#include "net/channel_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "net/status.h"
#include "proto/limits.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"
#include "tests/net/strange_server.h"

namespace shoal::net {
namespace {

const identity::Identity kServer = identity::identity_of(1);
const identity::Identity kCaller = identity::identity_of(2);

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A port on which nothing listens.
std::uint16_t free_port() {
  EchoNode node(kServer);
  return node.running.endpoint.port;
}

TEST(ChannelPool, GivesOneChannelPerPeerWhateverItsAddresses) {
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const auto first = pool.get(kServer.peer_id(), {node.running.endpoint});
  ASSERT_TRUE(describe(first).status.ok());
  EXPECT_EQ(pool.get(kServer.peer_id(), {node.running.endpoint}), first);
  EXPECT_EQ(pool.get(kServer.peer_id(), {loopback(2), node.running.endpoint}), first);
  EXPECT_NE(pool.get(kCaller.peer_id(), {node.running.endpoint}), first);
  EXPECT_EQ(pool.size(), 2u);
}

TEST(ChannelPool, DropForgetsOneChannelAndOthersMayKeepIt) {
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const auto held = pool.get(kServer.peer_id(), {node.running.endpoint});
  pool.drop(kServer.peer_id());
  pool.drop(kCaller.peer_id());  // never seen: nothing happens
  EXPECT_EQ(pool.size(), 0u);
  EXPECT_NE(pool.get(kServer.peer_id(), {node.running.endpoint}), held);
  EXPECT_TRUE(describe(held).status.ok());
}

proto::PeerId peer(std::size_t number) {
  proto::PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(number);
  id.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  return id;
}

TEST(ChannelPool, IsBoundedAndForgetsTheLongestUnusedThatNobodyHolds) {
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const auto held = pool.get(kServer.peer_id(), {node.running.endpoint});
  ASSERT_TRUE(describe(held).status.ok());
  for (std::size_t i = 0; i < proto::kMaxChannels + 1; ++i) {
    pool.get(peer(1000 + i), {loopback(1)});
    ASSERT_LE(pool.size(), proto::kMaxChannels);
  }
  EXPECT_EQ(pool.size(), proto::kMaxChannels);
  EXPECT_EQ(pool.get(kServer.peer_id(), {node.running.endpoint}), held);
}

TEST(ChannelPool, IsBoundedAlsoWhenEveryChannelIsHeld) {
  ChannelPool pool(kCaller, {});
  std::vector<std::shared_ptr<grpc::Channel>> held;
  for (std::size_t i = 0; i < proto::kMaxChannels + 10; ++i) {
    held.push_back(pool.get(peer(i), {loopback(1)}));
  }
  EXPECT_EQ(pool.size(), proto::kMaxChannels);
}

TEST(ChannelPool, MayBeUsedByManyThreads) {
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 25; ++round) {
        const grpc::Status status =
            describe(pool.get(kServer.peer_id(), {node.running.endpoint})).status;
        good += status.ok();
        EXPECT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
        if (round % 7 == 0) pool.drop(kServer.peer_id());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 8 * 25);
}

TEST(ChannelPool, ADeadAddressFailsAtOnceAndSaysWhatToCheck) {
  ChannelPool pool(kCaller, {});
  const auto start = std::chrono::steady_clock::now();
  const absl::Status status =
      to_absl(describe(pool.get(kServer.peer_id(), {loopback(free_port())})).status, "node a at b");
  EXPECT_LT(seconds_since(start), 2.0);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(
      status.message(),
      "node a at b: nothing listens there. Check that the node is running, and its address and "
      "port");
}

TEST(ChannelPool, DirectAddressesComeBeforeThoseThroughRelays) {
  const EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const auto start = std::chrono::steady_clock::now();
  const identity::Identity relay = identity::identity_of(77);
  const EchoNode no_relay(relay);
  const proto::Address relayed =
      proto::Address::through(relay.peer_id(), no_relay.running.endpoint);
  const absl::Status status =
      to_absl(describe(pool.get(kServer.peer_id(), {relayed})).status, "node a at b");
  EXPECT_LT(seconds_since(start), 2.0);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("node a at b: its relay: it closed the connection"));
  EXPECT_EQ(pool.connected_address(kServer.peer_id()), std::nullopt);
  const auto both = pool.get(kServer.peer_id(), {relayed, node.running.endpoint});
  EXPECT_TRUE(describe(both).status.ok());
  EXPECT_EQ(pool.connected_address(kServer.peer_id()), node.running.endpoint);
}

TEST(ChannelPool, SilenceFailsWithinTheConnectTimeoutWhereverItBegins) {
  const Listener mute(8);  // the kernel accepts, nobody ever answers
  const Listener full(0);  // drops what goes beyond its backlog, as a firewall would
  std::vector<int> filling;
  for (int i = 0; i < 4; ++i) filling.push_back(full.connect_to());
  ChannelPool pool(kCaller, {});
  std::vector<std::thread> threads;
  for (const auto& [listener, words] :
       {std::pair(&mute, "takes the connection"), std::pair(&full, "firewall")}) {
    threads.emplace_back([&pool, listener = listener, words = words, number = threads.size()] {
      const auto start = std::chrono::steady_clock::now();
      const auto status =
          to_absl(describe(pool.get(peer(number), {listener->endpoint()})).status, "node a at b");
      EXPECT_LT(seconds_since(start), 8.0);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      EXPECT_NE(std::string(status.message()).find(words), std::string::npos) << status;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int fd : filling) close(fd);
}

TEST(ChannelPool, ARestartedNodeIsFoundAgainWithinASecondOrTwo) {
  ChannelPool pool(kCaller, {});
  proto::Endpoint endpoint;
  {
    EchoNode node(kServer);
    endpoint = node.running.endpoint;
    ASSERT_TRUE(describe(pool.get(kServer.peer_id(), {endpoint})).status.ok());
  }
  ASSERT_FALSE(describe(pool.get(kServer.peer_id(), {endpoint})).status.ok());
  EchoNode node(kServer, {}, proto::to_string(endpoint));
  const auto start = std::chrono::steady_clock::now();
  bool found = false;
  while (!found && seconds_since(start) < 5) {
    found = describe(pool.get(kServer.peer_id(), {endpoint})).status.ok();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(found);
}

TEST(ChannelPool, NeverGoesThroughAProxy) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("https_proxy", "http://127.0.0.1:1", 1);
  setenv("grpc_proxy", "http://127.0.0.1:1", 1);
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const Answer answer = describe(pool.get(kServer.peer_id(), {node.running.endpoint}));
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  unsetenv("http_proxy");
  unsetenv("https_proxy");
  unsetenv("grpc_proxy");
}

}  // namespace
}  // namespace shoal::net
