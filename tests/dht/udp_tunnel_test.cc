// SPDX-License-Identifier: Apache-2.0
// The service where UDP does not pass to the address that it joins by: nobody has a socket there,
// but connections lead to somebody.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>

#include "dht/tunnel_endpoint.h"
#include "tests/dht/loopback_swarm.h"

namespace shoal::dht {
namespace {

using Member = LoopbackSwarm::Member;

// Connections within this process: who is reached at which address, all on one io thread.
class PaperNetwork {
 public:
  explicit PaperNetwork(LoopbackSwarm& swarm) : io_(swarm.io()) {}

  class End : public DatagramTunnels {
   public:
    explicit End(PaperNetwork& network) : network_(network) {}
    void start(Receive receive) override { receive_ = std::move(receive); }
    void send(std::string_view datagram, const proto::Endpoint& to) override {
      if (is_tunnel(to)) {  // an answer, back the way that it was asked
        const auto caller = network_.callers_.find(to);
        if (caller != network_.callers_.end())
          network_.post(*caller->second.first, datagram, caller->second.second);
        return;
      }
      ++network_.dials;
      const auto there = network_.reached_at_.find(to);
      if (there == network_.reached_at_.end()) return;
      const proto::Endpoint as = tunnel_endpoint(kLoopback, number_);
      network_.callers_[as] = {this, to};
      ups_.insert(to);
      network_.post(*there->second, datagram, as);
    }
    bool is_up(const proto::Endpoint& to) const override { return ups_.contains(to); }
    void hang_up() override { ups_.clear(); }
    void close() override { receive_ = nullptr; }

   private:
    friend class PaperNetwork;
    PaperNetwork& network_;
    const std::uint64_t number_ = network_.next_++;
    Receive receive_;
    std::set<proto::Endpoint> ups_;
  };

  std::shared_ptr<End> end() { return std::make_shared<End>(*this); }
  void lead(const proto::Endpoint& address, const std::shared_ptr<End>& to) {
    reached_at_[address] = to;
  }
  std::atomic<int> dials = 0;

 private:
  void post(End& to, std::string_view datagram, const proto::Endpoint& from) {
    boost::asio::post(io_, [&to, bytes = std::string(datagram), from] {
      if (to.receive_) to.receive_(bytes, from);
    });
  }

  boost::asio::io_context& io_;
  std::uint64_t next_ = 1;
  std::map<proto::Endpoint, std::shared_ptr<End>> reached_at_;
  std::map<proto::Endpoint, std::pair<End*, proto::Endpoint>> callers_;
};

// Nobody has a socket there.
const auto kNoUdp = proto::Endpoint::v4({127, 0, 0, 1}, 1);

struct UdpTunnelTest : testing::Test {
  // One who is reached at kNoUdp by connections, and at its own endpoint by UDP.
  Member& add_server() {
    auto end = network.end();
    UdpServiceOptions options{kLoopback, false, {}};
    options.tunnels = end;
    Member& server = swarm.add(options);
    network.lead(kNoUdp, end);
    return server;
  }
  Member& add_member(UdpUse udp = UdpUse::kAuto, bool client = false) {
    UdpServiceOptions options{kLoopback, client, {}};
    ends.push_back(network.end());
    options.tunnels = ends.back();
    options.udp = udp;
    options.on_tunnelled = [this](bool tunnelled) { told.push_back(tunnelled); };
    return swarm.add(options);
  }

  std::vector<std::shared_ptr<PaperNetwork::End>> ends;
  std::vector<bool> told;
  LoopbackSwarm swarm;
  PaperNetwork network{swarm};
};

TEST_F(UdpTunnelTest, WhereUdpIsSilentTheDirectoryIsReadThroughAConnection) {
  Member& server = add_server();
  swarm.publish(server, example_record(1));
  Member& client = add_member(UdpUse::kAuto, true);
  ASSERT_TRUE(swarm.bootstrap(client, {kNoUdp}).ok());
  EXPECT_EQ(swarm.find(client, models_key({})).size(), 1u);
  EXPECT_TRUE(
      eventually([&] { return swarm.on_io([&] { return client.service->is_tunnelled(); }); }));
  EXPECT_EQ(told, std::vector<bool>{true});
}

TEST_F(UdpTunnelTest, WithUdpOffItIsReadAtOnceAndNoDatagramLeaves) {
  Member& server = add_server();
  Member& client = add_member(UdpUse::kOff, true);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(swarm.bootstrap(client, {kNoUdp}).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, WayChoice::kHeadStart);
  EXPECT_TRUE(swarm.on_io([&] { return client.service->is_tunnelled(); }));
  // By UDP this address would answer, and by no connection.
  Member& other = add_member(UdpUse::kOff, true);
  EXPECT_FALSE(swarm.bootstrap(other, {server.endpoint}, 600).ok());
}

TEST_F(UdpTunnelTest, ANodeInATunnelIsFoundByOthersAndAskedByNobody) {
  Member& server = add_server();
  Member& node = add_member();
  ASSERT_TRUE(swarm.bootstrap(node, {kNoUdp}).ok());
  ASSERT_TRUE(
      eventually([&] { return swarm.on_io([&] { return node.service->is_tunnelled(); }); }));
  EXPECT_GE(swarm.publish(node, example_record(1)), 1);
  Member& reader = swarm.add({kLoopback, true, {}});
  ASSERT_TRUE(swarm.bootstrap(reader, {server.endpoint}).ok());
  EXPECT_EQ(swarm.find(reader, models_key({})).size(), 1u);
  EXPECT_EQ(swarm.stats(server).contacts, 0u) << "nobody may be told of it";
}

TEST_F(UdpTunnelTest, WhereUdpAnswersNoConnectionIsMade) {
  Member& server = add_server();
  Member& node = add_member();
  ASSERT_TRUE(swarm.bootstrap(node, {server.endpoint}).ok());
  std::this_thread::sleep_for(WayChoice::kHeadStart + milliseconds(200));
  EXPECT_EQ(network.dials, 0);
  EXPECT_EQ(swarm.stats(server).contacts, 1u);
  EXPECT_TRUE(told.empty());
}

// Whoever forges a source must not make it connect there.
TEST_F(UdpTunnelTest, WhatCameByUdpIsAnsweredByUdp) {
  add_server();
  Member& node = add_member();
  ASSERT_TRUE(swarm.bootstrap(node, {kNoUdp}).ok());
  ASSERT_TRUE(
      eventually([&] { return swarm.on_io([&] { return node.service->is_tunnelled(); }); }));
  const int before = network.dials;
  Member& asker = swarm.add({kLoopback, true, {}});
  EXPECT_TRUE(swarm.bootstrap(asker, {node.endpoint}).ok());
  EXPECT_EQ(network.dials, before);
}

}  // namespace
}  // namespace shoal::dht
