// SPDX-License-Identifier: Apache-2.0
// Doors of a front: who is handed to them, how a connection leaves TLS there, and that the
// gatekeeper counts and bans its visitors like everybody else.
#include "net/door.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>

#include "base/mutex.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"
#include "tests/net/tls_talker.h"

namespace shoal::net {
namespace {

const identity::Identity kHost = identity::identity_of(1);
const identity::Identity kGuest = identity::identity_of(2);

constexpr char kProtocol[] = "shoal-test/1";

// Keeps who comes.
class Room {
 public:
  ~Room() {
    for (Visitor& visitor : visitors_) leave(std::move(visitor));
  }
  Door door() {
    return [this](Visitor visitor) {
      const base::MutexLock lock(mutex_);
      visitors_.push_back(std::move(visitor));
      came_.notify_all();
    };
  }
  std::optional<Visitor> take() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    const base::MutexLock lock(mutex_);
    while (visitors_.empty()) {
      if (!came_.wait_until(mutex_, end)) return std::nullopt;
    }
    Visitor visitor = std::move(visitors_.back());
    visitors_.pop_back();
    return visitor;
  }
  static void leave(Visitor visitor) {
    visitor.tls.reset();
    close(visitor.socket);
  }

 private:
  base::Mutex mutex_;
  base::CondVar came_;
  std::vector<Visitor> visitors_ ABSL_GUARDED_BY(mutex_);
};

std::string read_of(const Visitor& visitor, std::size_t bytes) {
  std::string result(bytes, '\0');
  std::size_t at = 0;
  for (int i = 0; at < bytes && i < 500; ++i) {
    std::size_t got = 0;
    visitor.tls->read(result.data() + at, bytes - at, got);
    at += got;
    if (got == 0) usleep(10'000);
  }
  return result.substr(0, at);
}

TEST(Door, VisitorsAreHandedOverWithWhoTheyAre) {
  EchoNode node(kHost);
  Room room;
  node.running.front->open_door(kProtocol, room.door());
  TlsTalker talker(kGuest, node.running.endpoint);
  ASSERT_TRUE(talker.handshake(kProtocol)) << "whoever is there";
  EXPECT_EQ(talker.peer(), kHost.peer_id());
  ASSERT_TRUE(talker.send("in TLS"));
  auto visitor = room.take();
  ASSERT_TRUE(visitor.has_value());
  EXPECT_EQ(visitor->peer, kGuest.peer_id());
  EXPECT_EQ(proto::Endpoint::v4({127, 0, 0, 1}, visitor->from.port), visitor->from);
  EXPECT_EQ(node.running.front->stats().connections, 1u);
  EXPECT_EQ(read_of(*visitor, 6), "in TLS");
  Room::leave(*std::move(visitor));
  EXPECT_EQ(talker.receive(1), "");
}

// What follows the last record at once is not swallowed by TLS, in either direction.
TEST(Door, AConnectionLeavesTlsBetweenTwoRecords) {
  EchoNode node(kHost);
  Room room;
  node.running.front->open_door(kProtocol, room.door());
  TlsTalker talker(kGuest, node.running.endpoint);
  ASSERT_TRUE(talker.handshake(kProtocol, kHost.peer_id()));
  ASSERT_TRUE(talker.send("last") && talker.send_raw("first below"));
  auto visitor = room.take();
  ASSERT_TRUE(visitor.has_value());
  usleep(20'000);  // both are there
  EXPECT_EQ(read_of(*visitor, 4), "last");
  char below[32];
  EXPECT_EQ(recv(visitor->socket, below, sizeof(below), 0), 11);
  EXPECT_EQ(std::string(below, 11), "first below");
  std::size_t taken = 0;
  ASSERT_EQ(visitor->tls->write("yes", 3, taken), TlsStream::Io::kDone);
  ASSERT_EQ(send(visitor->socket, "raw", 3, 0), 3);
  usleep(20'000);
  EXPECT_EQ(talker.receive(3), "yes");
  EXPECT_EQ(talker.receive_raw(3), "raw");
  Room::leave(*std::move(visitor));
}

TEST(Door, OnlyOpenDoorsOfThePortArePassed) {
  EchoNode node(kHost);
  Room room;
  const auto passes = [&](const std::string& protocol) {
    TlsTalker talker(kGuest, node.running.endpoint);
    return talker.handshake(protocol);
  };
  EXPECT_FALSE(passes(kProtocol));
  EXPECT_TRUE(passes(kHttp2));
  node.running.front->open_door(kProtocol, room.door());
  EXPECT_TRUE(passes(kProtocol));
  EXPECT_FALSE(passes("shoal-other/1"));
  node.running.front->close_door(kProtocol);
  EXPECT_FALSE(passes(kProtocol));
  EXPECT_TRUE(passes(kHttp2));
}

TEST(Door, AServerWithoutServicesHasDoors) {
  auto started = start_server(loopback(), kHost, {}, {});
  ASSERT_TRUE(started.ok()) << started.status();
  Room room;
  started->front->open_door(kProtocol, room.door());
  TlsTalker talker(kGuest, started->endpoint);
  EXPECT_TRUE(talker.handshake(kProtocol));
  EXPECT_TRUE(room.take().has_value());
}

// The visitor may stay longer than the front.
TEST(Door, VisitorsAreCountedAndBannedLikeOthers) {
  Room room;
  std::optional<EchoNode> node(std::in_place, kHost);
  node->running.front->open_door(kProtocol, room.door());
  TlsTalker talker(kGuest, node->running.endpoint);
  ASSERT_TRUE(talker.handshake(kProtocol));
  auto visitor = room.take();
  ASSERT_TRUE(visitor.has_value());
  EXPECT_FALSE(visitor->admission->is_banned());
  visitor->admission->accuse("it broke the rules");
  EXPECT_TRUE(visitor->admission->is_banned());
  EXPECT_EQ(node->running.front->stats().bans, 1u);
  TlsTalker again(kGuest, node->running.endpoint);
  EXPECT_FALSE(again.handshake(kHttp2)) << "refused before TLS";
  visitor->admission.reset();
  EXPECT_EQ(node->running.front->stats().connections, 0u);
  TlsTalker other(identity::identity_of(3), node->running.endpoint,
                  proto::Endpoint::v4({127, 0, 0, 2}, 0));
  ASSERT_TRUE(other.handshake(kProtocol));
  auto late = room.take();
  ASSERT_TRUE(late.has_value());
  node.reset();
  late->admission->accuse("nobody hears it");
  EXPECT_FALSE(late->admission->is_banned());
  Room::leave(*std::move(late));
  Room::leave(*std::move(visitor));
}

}  // namespace
}  // namespace shoal::net
