// SPDX-License-Identifier: Apache-2.0
// A node's parked connections at relays that mean harm.
#include "node/member/relay_keeper.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "net/io_thread.h"
#include "net/server.h"
#include "net/tunnel_stream.h"
#include "proto/limits.h"
#include "proto/tunnel.h"
#include "tests/net/echo_node.h"

namespace shoal::node {
namespace {

// Says that a caller is there as soon as anybody parks, and breaks off.
class HastyRelay {
 public:
  HastyRelay() : running_(*net::start_server(net::loopback(), identity_, {}, {})) {
    running_.front->open_door(proto::kTunnelProtocol, [this](net::Visitor visitor) {
      pollfd wait{visitor.socket, POLLIN, 0};
      net::TunnelStream words(*visitor.tls);
      while (words.read() == net::TlsStream::Io::kWantRead && poll(&wait, 1, 500) == 1) {
      }
      using Kind = proto::TunnelReply::Kind;
      words.write(proto::encode_tunnel_reply({Kind::kParked, visitor.from, {}, 0}));
      words.write(proto::encode_tunnel_reply({Kind::kStart, visitor.from, {}, 0}));
      visitor.tls.reset();
      close(visitor.socket);
      ++came_;
    });
  }
  ~HastyRelay() { running_.front->close_door(proto::kTunnelProtocol); }
  proto::Endpoint endpoint() const { return running_.endpoint; }
  int came() const { return came_; }

 private:
  const identity::Identity identity_ = identity::Identity::generate();
  std::atomic<int> came_ = 0;
  net::RunningServer running_;
};

// Each caller costs the node a connection and a handshake: a relay that invents callers has a rate.
TEST(RelayKeeperTest, ARelayThatInventsCallersIsNotDialledWithoutEnd) {
  HastyRelay relay;
  const identity::Identity own = identity::Identity::generate();
  net::IoThread io;
  auto server = net::start_server(net::loopback(), own, {}, {});
  ASSERT_TRUE(server.ok()) << server.status();
  std::unique_ptr<RelayKeeper> keeper;
  io.run_and_wait([&] {
    keeper = std::make_unique<RelayKeeper>(
        io.context(), own, std::nullopt, *server->front, server->endpoint.port, [&] {
          return std::vector<RelayCandidate>{{relay.endpoint(), std::nullopt}};
        });
    keeper->start([] {});
  });
  // 64 at once, 16 a second, and one for each of its lines.
  constexpr int kSeconds = 3;
  std::this_thread::sleep_for(std::chrono::seconds(kSeconds));
  io.run_and_wait([&] { keeper.reset(); });
  EXPECT_GT(relay.came(), 20) << "it is no worse than one that many call";
  EXPECT_LE(relay.came(), static_cast<int>(proto::kMaxTunnelsPerTarget +
                                           (kSeconds + 1) * 4 * proto::kTunnelCallsPerSecond +
                                           proto::kParkedPerRelay));
}

}  // namespace
}  // namespace shoal::node
