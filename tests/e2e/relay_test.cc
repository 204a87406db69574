// SPDX-License-Identifier: Apache-2.0
// Nodes that are reached through relays only: the text is the same, also when a relay stops in the
// middle of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "net/identity_tls.h"
#include "node/node.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

class RelaySwarm {
 public:
  explicit RelaySwarm(std::size_t relays) {
    for (std::size_t i = 0; i < relays; ++i) add({}, relays_);
    for (const proto::Span span : {proto::Span{0, 4}, {4, 8}}) add(span, nodes_);
  }
  ~RelaySwarm() {
    nodes_.clear();
    relays_.clear();
  }

  std::string address() const { return proto::to_string(relays_.front()->endpoint()); }
  bool is_relay(const proto::PeerId& peer) const { return find(peer) != nullptr; }
  void stop_relay(const proto::PeerId& peer) {
    auto* const relay = find(peer);
    CHECK(relay != nullptr);
    relay->reset();
  }

 private:
  using Nodes = std::vector<std::unique_ptr<node::Node>>;

  void add(const proto::Span& span, Nodes& to) {
    node::NodeOptions options;
    if (!span.empty()) {
      options.model_directory = std::string(SHOAL_SOURCE_DIR) + "/models/demo";
      options.blocks = span;
      options.reach = node::ReachMode::kRelay;
    }
    options.listen = proto::Endpoint::v4({127, 0, 0, 1}, 0);
    options.kv_positions = 4'096;
    options.threads = 1;
    for (const auto& relay : relays_) options.join.push_back(relay->endpoint());
    auto started = node::Node::start(std::move(options));
    CHECK(started.ok()) << started.status();
    to.push_back(*std::move(started));
  }
  const std::unique_ptr<node::Node>* find(const proto::PeerId& peer) const {
    const auto found = std::ranges::find_if(
        relays_, [&](const auto& relay) { return relay != nullptr && relay->peer_id() == peer; });
    return found == relays_.end() ? nullptr : &*found;
  }
  std::unique_ptr<node::Node>* find(const proto::PeerId& peer) {
    return const_cast<std::unique_ptr<node::Node>*>(std::as_const(*this).find(peer));
  }

  Nodes relays_, nodes_;
};

class RelayedNodes : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }
  static client::GenerateRequest request(int tokens) {
    client::GenerateRequest result = client::golden_request(client::read_golden()["prompts"][0]);
    result.max_tokens = tokens;
    return result;
  }
};

TEST_F(RelayedNodes, GenerateWhatIsGolden) {
  RelaySwarm swarm(3);
  TestClient user(swarm.address());
  const auto run = user.generate(request(32));
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 0);
  ASSERT_EQ(run.route.size(), 2u);
  for (const client::Hop& hop : run.route) {
    EXPECT_EQ(hop.addresses.size(), 2u) << "two relays";
    for (const proto::Address& address : hop.addresses) {
      ASSERT_FALSE(address.is_direct()) << proto::to_string(address);
      EXPECT_TRUE(swarm.is_relay(*address.relay));
    }
  }
  const auto expected = user.generate_locally(request(32));
  EXPECT_EQ(run.result->ids, expected.ids);
  EXPECT_TRUE(client::same_logits(*run.result, expected));
}

TEST_F(RelayedNodes, GoOnWhenARelayStops) {
  RelaySwarm swarm(3);
  TestClient user(swarm.address());
  Clock::time_point last;
  milliseconds longest{0};
  int killed = 0;
  const auto run = user.generate(request(160), [&](client::Pipeline& pipeline, std::size_t tokens) {
    const auto now = Clock::now();
    if (tokens > 1) {
      longest = std::max(longest, std::chrono::duration_cast<milliseconds>(now - last));
    }
    // One of them after the other: each time the one that the first hop is reached through.
    if (tokens == 20) {
      swarm.stop_relay(*pipeline.route()[0].addresses.front().relay);
      ++killed;
    }
    last = Clock::now();
  });
  ASSERT_TRUE(run.result.ok()) << run.result.status() << "\n" << user.told;
  EXPECT_EQ(killed, 1);
  const auto expected = user.generate_locally(request(160));
  EXPECT_EQ(run.result->ids, expected.ids);
  EXPECT_TRUE(client::same_logits(*run.result, expected));
  EXPECT_LT(longest, milliseconds(2'000));
  std::printf("pause when a relay stopped: %d ms\n", static_cast<int>(longest.count()));
}

}  // namespace
}  // namespace shoal::tests
