// SPDX-License-Identifier: Apache-2.0
// Calls through a relay over loopback: that they come through, what the relay sees of them, and
// what hostile peers and relays get.
#include "net/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/check.h"
#include "net/channel_pool.h"
#include "tests/attack/raw_client.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"
#include "tests/net/parked_node.h"

namespace shoal::net {
namespace {

using proto::TunnelRefusal;
using proto::TunnelReply;
using testing::HasSubstr;

const identity::Identity kRelay = identity::identity_of(11);
const identity::Identity kNode = identity::identity_of(12);
const identity::Identity kClient = identity::identity_of(13);

// Stands between a tunnel's end and the node's front; sees what the relay sees.
class Wire {
 public:
  // `change`: of the bytes towards the node, by their place in the stream.
  using Change = std::function<void(std::string&, std::size_t at)>;

  Wire(int relay, Change change) : relay_(relay), change_(std::move(change)) {
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    node_ = pair[0];
    nodes_end_ = pair[1];
    thread_ = std::thread([this] { run(); });
  }
  ~Wire() {
    shutdown(relay_, SHUT_RDWR);
    shutdown(node_, SHUT_RDWR);
    thread_.join();
    close(relay_);
    close(node_);
  }
  int nodes_end() const { return nodes_end_; }
  std::string end_and_tell() {
    shutdown(relay_, SHUT_RDWR);
    while (!ended_) usleep(1'000);
    return seen_;
  }

 private:
  void run() {
    std::size_t down = 0;
    for (;;) {
      pollfd both[2] = {{relay_, POLLIN, 0}, {node_, POLLIN, 0}};
      if (poll(both, 2, 5'000) <= 0) break;
      char bytes[4096];
      if (both[0].revents != 0) {
        const ssize_t got = recv(relay_, bytes, sizeof(bytes), 0);
        if (got <= 0) break;
        std::string text(bytes, static_cast<std::size_t>(got));
        seen_ += text;
        if (change_) change_(text, down);
        down += static_cast<std::size_t>(got);
        if (send(node_, text.data(), text.size(), MSG_NOSIGNAL) < 0) break;
      }
      if (both[1].revents != 0) {
        const ssize_t got = recv(node_, bytes, sizeof(bytes), 0);
        if (got <= 0) break;
        seen_.append(bytes, static_cast<std::size_t>(got));
        if (send(relay_, bytes, static_cast<std::size_t>(got), MSG_NOSIGNAL) < 0) break;
      }
    }
    shutdown(relay_, SHUT_RDWR);
    shutdown(node_, SHUT_RDWR);
    ended_ = true;
  }

  int relay_, node_, nodes_end_;
  const Change change_;
  std::string seen_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

TEST(Relay, ACallGoesThroughAndTheRelaySeesNothingOfIt) {
  RelayHost relay(kRelay);
  EchoNode node(kNode);
  ParkedNode parked(kNode, relay.endpoint());
  ASSERT_TRUE(parked.parks());
  std::unique_ptr<Wire> wire;
  std::thread joining([&] {
    const int socket = parked.await_caller();
    if (socket < 0) return;
    wire = std::make_unique<Wire>(socket, nullptr);
    node.running.front->add(wire->nodes_end(), relay.endpoint());
  });
  ChannelPool pool(kClient, {});
  const Answer answer = describe(pool.get(kNode.peer_id(), {relay.address()}));
  joining.join();
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.peer_id, kClient.peer_id().to_bytes()) << "mutual TLS, end to end";
  EXPECT_EQ(pool.connected_address(kNode.peer_id()), relay.address());
  const RelayStats stats = relay.stats();
  EXPECT_EQ(stats.tunnels, 1u);
  EXPECT_EQ(stats.parked, 0u);
  const std::string seen = wire->end_and_tell();
  EXPECT_GT(stats.bytes, 2'000u);
  EXPECT_GT(seen.size(), 2'000u);
  for (const char* word : {"Describe", "shoal.wire", "grpc", "PRI * HTTP"}) {
    EXPECT_EQ(seen.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(seen.find(kClient.peer_id().to_bytes()), std::string::npos) << "nor the certificates";
}

// A relay that alters or drops a byte breaks the connection, and no more.
TEST(Relay, WhatARelayAltersIsNotTaken) {
  const auto call_with = [](Wire::Change change) {
    RelayHost relay(kRelay);
    EchoNode node(kNode);
    ParkedNode parked(kNode, relay.endpoint());
    CHECK(parked.parks());
    std::unique_ptr<Wire> wire;
    std::thread joining([&] {
      const int socket = parked.await_caller();
      CHECK(socket >= 0);
      wire = std::make_unique<Wire>(socket, std::move(change));
      node.running.front->add(wire->nodes_end(), relay.endpoint());
    });
    ChannelPool pool(kClient, {});
    const Answer answer = describe(pool.get(kNode.peer_id(), {relay.address()}), 2'000);
    joining.join();
    return answer;
  };
  EXPECT_TRUE(call_with(nullptr).status.ok());
  for (const std::size_t at : {40u, 500u, 900u}) {
    bool reached = false;
    const Answer flipped = call_with([&reached, at](std::string& bytes, std::size_t from) {
      if (at < from || at >= from + bytes.size()) return;
      reached = true;
      bytes[at - from] ^= 1;
    });
    EXPECT_TRUE(reached) << at;
    EXPECT_FALSE(flipped.status.ok()) << at;
    EXPECT_EQ(flipped.peer_id, "") << at;
  }
  const Answer dropped = call_with([](std::string& bytes, std::size_t from) {
    if (500 >= from && 500 < from + bytes.size()) bytes.erase(500 - from, 1);
  });
  EXPECT_FALSE(dropped.status.ok());
}

// Whoever answers at the end of a tunnel proves who it is; and a parked peer has the name that TLS
// has proven.
TEST(Relay, NobodyIsReachedUnderAnothersName) {
  RelayHost relay(kRelay);
  const identity::Identity bad = identity::identity_of(14);
  ParkedNode parked(bad, relay.endpoint());
  ASSERT_TRUE(parked.parks());
  ChannelPool pool(kClient, {});
  const Answer answer = describe(pool.get(kNode.peer_id(), {relay.address()}), 4'000);
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("not connected with it"));
  EXPECT_EQ(relay.stats().parked, 1u) << "it was not called";
  EXPECT_EQ(relay.stats().refused[static_cast<std::size_t>(TunnelRefusal::kNotParked)], 1u);
}

TEST(Relay, ACallWaitsForAPeerThatParksAgain) {
  RelayHost relay(kRelay);
  EchoNode node(kNode);
  ParkedNode first(kNode, relay.endpoint());
  ASSERT_TRUE(first.parks());
  const auto call = [&](TlsTalker& caller) {
    return caller.handshake(proto::kTunnelProtocol, kRelay.peer_id()) &&
           caller.send(proto::encode_tunnel_request({kNode.peer_id()}));
  };
  TlsTalker one(kClient, relay.endpoint());
  TlsTalker two(kClient, relay.endpoint());
  ASSERT_TRUE(call(one));
  EXPECT_EQ(hear(one)->kind, TunnelReply::Kind::kOpen);
  ASSERT_TRUE(call(two));
  for (int i = 0; i < 200 && relay.stats().waiting == 0; ++i) usleep(5'000);
  EXPECT_EQ(relay.stats().waiting, 1u);
  ParkedNode second(kNode, relay.endpoint());
  ASSERT_TRUE(second.parks());
  const auto opened = hear(two);
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->kind, TunnelReply::Kind::kOpen);
  EXPECT_TRUE(opened->endpoint.is_loopback());
  const int socket = second.await_caller();
  ASSERT_GE(socket, 0);
  ASSERT_TRUE(two.send_raw("below TLS"));
  char bytes[16];
  EXPECT_EQ(recv(socket, bytes, sizeof(bytes), 0), 9);
  close(socket);
  EXPECT_EQ(two.receive_raw(1), "") << "one end's end is the other's";
}

TEST(Relay, WhoeverSpeaksNoneOfItsWordsIsBanned) {
  for (const std::string& words : {std::string("\xff\xff"), std::string("\0\0", 2),
                                   std::string("\0\3abc", 5), std::string("\0\4\x12\2\x0a\0", 6)}) {
    RelayHost relay(kRelay);
    TlsTalker bad(kClient, relay.endpoint());
    ASSERT_TRUE(bad.handshake(proto::kTunnelProtocol));
    ASSERT_TRUE(bad.send(words));
    EXPECT_EQ(bad.receive(1), "");
    for (int i = 0; i < 200 && relay.stats().broken == 0; ++i) usleep(5'000);
    EXPECT_EQ(relay.stats().broken, 1u);
    EXPECT_EQ(relay.front().stats().bans, 1u);
  }
}

// Records with nothing in them cost as much as others; whoever sends nothing else must not have the
// relay's thread, nor that of a node that parks with it.
TEST(Relay, WhoSendsMereWrappingIsHungUpOn) {
  RelayHost relay(kRelay);
  attack::RawClient bad(proto::Endpoint::v4({127, 0, 0, 1}, 0), relay.endpoint());
  ASSERT_TRUE(bad.handshake(kClient, proto::kTunnelProtocol));
  for (int i = 0; i < 100 && bad.update_keys(); ++i) {
  }
  EXPECT_TRUE(bad.closed_within(3'000)) << "before the time for its message is over";
  for (int i = 0; i < 200 && relay.stats().broken == 0; ++i) usleep(5'000);
  EXPECT_EQ(relay.stats().broken, 1u);
}

// It has left TLS's rules: nothing may come from it before somebody calls.
TEST(Relay, AParkedPeerThatTalksOrEndsIsLetGo) {
  RelayHost relay(kRelay);
  ParkedNode talks(kNode, relay.endpoint());
  ASSERT_TRUE(talks.parks());
  ASSERT_TRUE(relay.has_parked(1));
  ASSERT_TRUE(talks.talker().send("hello?"));
  EXPECT_TRUE(relay.has_parked(0));
  {
    ParkedNode ends(kNode, relay.endpoint());
    ASSERT_TRUE(ends.parks());
    ASSERT_TRUE(relay.has_parked(1));
  }
  EXPECT_TRUE(relay.has_parked(0));
}

TEST(Relay, WhoLeavesLetsGoOfWhoParksAndKeepsItsTunnels) {
  RelayHost relay(kRelay);
  ParkedNode called(kNode, relay.endpoint()), parked(kNode, relay.endpoint());
  ASSERT_TRUE(called.parks() && parked.parks());
  TlsTalker caller(kClient, relay.endpoint());
  ASSERT_TRUE(caller.handshake(proto::kTunnelProtocol));
  ASSERT_TRUE(caller.send(proto::encode_tunnel_request({kNode.peer_id()})));
  ASSERT_EQ(hear(caller)->kind, TunnelReply::Kind::kOpen);
  ASSERT_TRUE(relay.has_parked(1));
  relay.let_go();
  EXPECT_TRUE(relay.has_parked(0));
  EXPECT_EQ(relay.stats().tunnels, 1u);
}

TEST(Relay, StrangersOfAPrivateSwarmGetNothing) {
  const identity::SwarmKey key = identity::generate_swarm_key();
  RelayHost relay(kRelay, {}, key);
  ParkedNode stranger(kNode, relay.endpoint());
  EXPECT_FALSE(stranger.parks());
  EXPECT_EQ(relay.stats().parked, 0u);
}

// One caller's flood fills its own share; another one still gets through.
TEST(Relay, AFloodOfCallsCostsItsOwnPeersShare) {
  RelayOptions options;
  options.limits.tunnels_per_caller = 3;
  RelayHost relay(kRelay, options);
  std::vector<std::unique_ptr<ParkedNode>> parked;
  for (int i = 0; i < 6; ++i) {
    parked.push_back(std::make_unique<ParkedNode>(kNode, relay.endpoint()));
    ASSERT_TRUE(parked.back()->parks());
  }
  std::vector<std::unique_ptr<TlsTalker>> calls;
  const auto call = [&](const identity::Identity& who) {
    calls.push_back(std::make_unique<TlsTalker>(who, relay.endpoint()));
    CHECK(calls.back()->handshake(proto::kTunnelProtocol));
    CHECK(calls.back()->send(proto::encode_tunnel_request({kNode.peer_id()})));
    return hear(*calls.back());
  };
  const identity::Identity bad = identity::identity_of(15);
  for (int i = 0; i < 8; ++i) {
    const auto reply = call(bad);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->kind, i < 3 ? TunnelReply::Kind::kOpen : TunnelReply::Kind::kRefused);
    EXPECT_EQ(reply->refusal, i < 3 ? TunnelRefusal::kNone : TunnelRefusal::kYourShare);
  }
  EXPECT_EQ(call(kClient)->kind, TunnelReply::Kind::kOpen);
}

}  // namespace
}  // namespace shoal::net
