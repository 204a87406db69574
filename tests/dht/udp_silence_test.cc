// SPDX-License-Identifier: Apache-2.0
// What a stranger sees of a private swarm on real sockets: nothing. And that nothing is left behind
// when services end.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include "dht/kademlia.h"
#include "dht/packet.h"
#include "tests/dht/loopback_swarm.h"
#include "tests/support/own_process.h"

namespace shoal::dht {
namespace {

using boost::asio::ip::udp;
using Member = LoopbackSwarm::Member;

// A plain socket of somebody who has no key.
class Stranger {
 public:
  explicit Stranger(const proto::Endpoint& target)
      : socket_(io_, udp::endpoint(boost::asio::ip::address_v4::loopback(), 0)),
        target_(boost::asio::ip::address_v4::loopback(), target.port) {
    socket_.non_blocking(true);
  }
  void send(const std::string& bytes) { socket_.send_to(boost::asio::buffer(bytes), target_); }
  int received() {
    int count = 0;
    char buffer[2000];
    udp::endpoint from;
    boost::system::error_code error;
    while (socket_.receive_from(boost::asio::buffer(buffer), from, 0, error), !error) ++count;
    return count;
  }

 private:
  boost::asio::io_context io_;
  udp::socket socket_;
  udp::endpoint target_;
};

std::string first_packet(const std::optional<identity::SwarmKey>& key, identity::Random& random) {
  identity::Identity identity = identity::Identity::generate();
  Sessions sessions(identity, key, SessionConfig{}, false, random);
  sessions.send({{}, kLoopback}, "q", TimePoint{});
  return sessions.poll_transmit()->bytes;
}

TEST(UdpSilenceTest, StrangersGetNoAnswerWhateverTheySend) {
  identity::Random random(1);
  const identity::SwarmKey key = identity::generate_swarm_key();
  LoopbackSwarm swarm;
  Member& a = swarm.add({kLoopback, false, key});
  Member& b = swarm.add({kLoopback, false, key});
  ASSERT_TRUE(swarm.bootstrap(b, {a.endpoint}).ok());

  // A member's own first packet would be answered: the test's probe works.
  Stranger member(a.endpoint);
  const std::string genuine = first_packet(key, random);
  member.send(genuine);
  EXPECT_TRUE(eventually([&] { return member.received() > 0; }));

  Stranger stranger(a.endpoint);
  const std::uint64_t dropped = swarm.stats(a).datagrams_dropped;
  int sent = 0;
  const auto send = [&](const std::string& bytes) {
    stranger.send(bytes);
    if (++sent % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  };
  send(genuine);  // captured and replayed from elsewhere
  send(first_packet({}, random));
  for (int i = 0; i < 20; ++i) send(first_packet(identity::generate_swarm_key(), random));
  for (std::size_t i = 0; i < genuine.size(); ++i) {
    std::string changed = genuine;
    changed[i] ^= 1;
    send(changed);
  }
  for (std::size_t size = 0; size < 1400; size += 7) {
    std::string noise(size, '\0');
    random.fill(std::span(reinterpret_cast<std::uint8_t*>(noise.data()), noise.size()));
    send(noise);
  }
  EXPECT_TRUE(eventually([&] { return swarm.stats(a).datagrams_dropped >= dropped + 300; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(stranger.received(), 0);
}

TEST(UdpSilenceTest, WithoutTheKeyNobodyJoins) {
  LoopbackSwarm swarm;
  Member& a = swarm.add({kLoopback, false, identity::generate_swarm_key()});
  Member& none = swarm.add();
  Member& other = swarm.add({kLoopback, false, identity::generate_swarm_key()});
  for (Member* outsider : {&none, &other}) {
    const absl::Status status = swarm.bootstrap(*outsider, {a.endpoint}, 600);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_NE(std::string(status.message()).find("swarm key"), std::string::npos);
  }
  EXPECT_EQ(swarm.stats(a).datagrams_out, 0u);
  EXPECT_NE(a.service->swarm_id(), none.service->swarm_id());
}

TEST(UdpLifeTest, AThousandServicesLeaveNothingBehind) {
  LoopbackSwarm swarm;
  Member& a = swarm.add();
  const auto cycle = [&](bool wait) {
    Member& member = swarm.add();
    int calls = 0;
    swarm.on_io([&] {
      member.service->bootstrap({a.endpoint}, 2000, [&calls](absl::Status) { ++calls; });
      member.service->find(models_key({}), [&calls](std::vector<Record>) { ++calls; });
      if (!wait) member.service.reset();  // with everything still pending: callbacks are dropped
      return 0;
    });
    if (wait) {
      EXPECT_TRUE(eventually([&] { return swarm.on_io([&] { return calls; }) == 2; }));
      swarm.stop(member);
    }
    swarm.on_io([] { return 0; });
    if (!wait) {
      EXPECT_EQ(calls, 0);
    }
    swarm.members().pop_back();
  };
  for (int i = 0; i < 10; ++i) cycle(i == 0);
  const std::int64_t before = tests::open_descriptors();
  for (int i = 0; i < 1000; ++i) cycle(i % 50 == 0);
  EXPECT_EQ(tests::open_descriptors(), before);
  EXPECT_LE(swarm.stats(a).contacts, 300u);
}

}  // namespace
}  // namespace shoal::dht
