// SPDX-License-Identifier: Apache-2.0
// What Prometheus reads from a node.
#include "node/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "node/metrics/metric_families.h"
#include "node/node.h"
#include "tests/support/http_get.h"
#include "tests/support/temp_dir.h"

namespace shoal::node {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using tests::http_get;

const proto::Endpoint kAnyPort = proto::Endpoint::v4({127, 0, 0, 1}, 0);

std::unique_ptr<MetricsServer> serve(MetricsServer::Take take) {
  auto server = MetricsServer::start(kAnyPort);
  EXPECT_TRUE(server.ok()) << server.status();
  (*server)->serve(std::move(take));
  return *std::move(server);
}

// The value of the line that begins with `name` and a space.
double value(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + " ");
  EXPECT_NE(at, std::string::npos) << name << " is missing";
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

TEST(MetricsTest, NumbersOfTheDhtAndTheNodeAreServedAsText) {
  MetricsSnapshot snapshot;
  snapshot.dht.contacts = 30;
  snapshot.dht.verified_contacts = 15;
  snapshot.dht.buckets = {20, 10};
  snapshot.dht.drops.add(dht::Drop::kReplay);
  snapshot.dht.in.add(3, 100);
  snapshot.dht.reachability = dht::Reachability::State::kUnreachable;
  snapshot.dht.client = true;
  snapshot.dht.dials = 6;
  snapshot.dht.measurements.finds = 3;
  snapshot.dht.measurements.finds_found = 2;
  snapshot.dht.measurements.find_ms.add(150);
  snapshot.dht.measurements.find_ms.add(1e9);
  snapshot.node = NodeStats{};
  snapshot.node->sessions = 4;
  snapshot.node->moves = 2;
  snapshot.node->block_step_us = 250;
  snapshot.node->kept_pages = 12;
  snapshot.node->reused_positions = 96;
  snapshot.node->head_rows = 12;
  snapshot.node->head_calls = 5;
  snapshot.node->total_kv_positions = 4096;
  snapshot.node->free_kv_positions = 1024;
  snapshot.account = WorkTally{.sessions_opened = 9, .sessions_ended = 8, .sessions_failed = 3};
  snapshot.account->prefill_tokens = 640;
  snapshot.account->decode_tokens = 77;
  snapshot.account->bytes_in = 5000;
  snapshot.account->computing_s = 1.25;
  snapshot.relay = net::RelayStats{.parked = 8, .parked_peers = 2, .tunnels = 3, .bytes = 4'096};
  snapshot.relay->refused[static_cast<std::size_t>(proto::TunnelRefusal::kFull)] = 5;
  const auto server = serve([&] { return snapshot; });
  const std::string text = http_get(server->endpoint(), "/metrics");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(text, HasSubstr("Content-Type: text/plain"));
  EXPECT_EQ(value(text, "shoal_relay_nodes"), 2);
  EXPECT_EQ(value(text, "shoal_relay_parked"), 8);
  EXPECT_EQ(value(text, "shoal_relay_tunnels"), 3);
  EXPECT_EQ(value(text, "shoal_relay_bytes_total"), 4'096);
  EXPECT_EQ(value(text, "shoal_relay_refused_total{reason=\"full\"}"), 5);
  EXPECT_EQ(value(text, "shoal_relay_refused_total{reason=\"not_parked\"}"), 0);
  EXPECT_EQ(value(text, "shoal_dht_contacts{bucket=\"0\"}"), 20);
  EXPECT_EQ(value(text, "shoal_dht_contacts{bucket=\"1\"}"), 10);
  EXPECT_EQ(value(text, "shoal_dht_verified_share"), 0.5);
  EXPECT_EQ(value(text, "shoal_dht_drops_total{reason=\"replay\"}"), 1);
  EXPECT_EQ(value(text, "shoal_dht_drops_total{reason=\"size\"}"), 0);
  EXPECT_EQ(value(text, "shoal_dht_reachability{state=\"unreachable\"}"), 1);
  EXPECT_EQ(value(text, "shoal_dht_reachability{state=\"reachable\"}"), 0);
  EXPECT_EQ(value(text, "shoal_dht_client_mode"), 1);
  EXPECT_EQ(value(text, "shoal_dht_dials_total"), 6);
  EXPECT_EQ(value(text, "shoal_dht_message_bytes_total{direction=\"in\",type=\"find\"}"), 100);
  EXPECT_EQ(value(text, "shoal_dht_finds_total{result=\"found\"}"), 2);
  EXPECT_EQ(value(text, "shoal_dht_finds_total{result=\"nothing\"}"), 1);
  EXPECT_EQ(value(text, "shoal_dht_find_seconds_count"), 2);
  EXPECT_EQ(value(text, "shoal_dht_find_seconds_bucket{le=\"+Inf\"}"), 2);
  EXPECT_NEAR(value(text, "shoal_dht_find_seconds_sum"), 1'000'000.15, 1);
  EXPECT_EQ(value(text, "shoal_node_sessions"), 4);
  EXPECT_EQ(value(text, "shoal_node_moves_total"), 2);
  EXPECT_DOUBLE_EQ(value(text, "shoal_node_block_step_seconds"), 0.00025);
  EXPECT_EQ(value(text, "shoal_node_kv_pages_kept"), 12);
  EXPECT_EQ(value(text, "shoal_node_reused_positions_total"), 96);
  EXPECT_EQ(value(text, "shoal_node_head_rows_total"), 12);
  EXPECT_EQ(value(text, "shoal_node_head_calls_total"), 5);
  EXPECT_EQ(value(text, "shoal_node_kv_cache_usage_perc"), 0.75);
  EXPECT_EQ(value(text, "shoal_node_sessions_opened_total"), 9);
  EXPECT_EQ(value(text, "shoal_node_request_success_total{finished_reason=\"stop\"}"), 5);
  EXPECT_EQ(value(text, "shoal_node_request_success_total{finished_reason=\"error\"}"), 3);
  EXPECT_EQ(value(text, "shoal_node_prompt_tokens_total"), 640);
  EXPECT_EQ(value(text, "shoal_node_generation_tokens_total"), 77);
  EXPECT_EQ(value(text, "shoal_node_session_bytes_total{direction=\"in\"}"), 5000);
  EXPECT_EQ(value(text, "shoal_node_computing_seconds_total"), 1.25);
  EXPECT_THAT(text, Not(HasSubstr("shoal_node_energy_joules_total"))) << "the system does not tell";
  snapshot.account->energy_j = 36;
  snapshot.account->energy_s = 2;
  EXPECT_EQ(value(http_get(server->endpoint(), "/metrics"), "shoal_node_energy_joules_total"), 36);
  snapshot.node.reset();  // a bootstrap node has no device
  EXPECT_THAT(http_get(server->endpoint(), "/metrics"), Not(HasSubstr("shoal_node_")));
  EXPECT_THAT(http_get(server->endpoint(), "/"), Not(HasSubstr("shoal_dht_")));
}

TEST(MetricsTest, HistogramsAreCumulativeAndEveryNameIsOne) {
  MetricsSnapshot snapshot;
  for (const double ms : {1.0, 1.0, 90.0, 700.0, 1e9})
    snapshot.dht.measurements.first_record_ms.add(ms);
  snapshot.node = NodeStats{};
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : metric_families(snapshot)) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
    if (family.name != "shoal_dht_first_record_seconds") continue;
    const auto& buckets = family.metric.at(0).histogram.bucket;
    for (std::size_t i = 1; i < buckets.size(); ++i) {
      EXPECT_LT(buckets[i - 1].upper_bound, buckets[i].upper_bound);
      EXPECT_LE(buckets[i - 1].cumulative_count, buckets[i].cumulative_count);
    }
    EXPECT_EQ(buckets.back().cumulative_count, 5u);
  }
  EXPECT_TRUE(names.contains("shoal_dht_first_record_seconds"));
}

TEST(MetricsTest, ATakenOrForeignAddressIsOneClearError) {
  const auto first = MetricsServer::start(kAnyPort);
  ASSERT_TRUE(first.ok());
  for (const proto::Endpoint& at : {(*first)->endpoint(), proto::Endpoint::v4({192, 0, 2, 1}, 0)}) {
    const auto second = MetricsServer::start(at);
    ASSERT_FALSE(second.ok());
    EXPECT_THAT(std::string(second.status().message()), HasSubstr(proto::to_string(at)));
    EXPECT_THAT(std::string(second.status().message()), HasSubstr("--metrics"));
  }
}

// Whole nodes: what the one asks, the other counts.
TEST(MetricsTest, RunningNodesServeWhatTheyDid) {
  const auto start = [](std::vector<proto::Endpoint> join) {
    NodeOptions options;
    options.listen = kAnyPort;
    options.metrics = kAnyPort;
    options.join = std::move(join);
    auto node = Node::start(std::move(options));
    EXPECT_TRUE(node.ok()) << node.status();
    return *std::move(node);
  };
  const auto first = start({});
  const auto second = start({first->endpoint()});
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text = http_get(*first->metrics(), "/metrics");
    if (value(text, "shoal_dht_contacts_verified") == 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(value(text, "shoal_dht_contacts_verified"), 1);
  EXPECT_EQ(value(text, "shoal_dht_verified_share"), 1);
  EXPECT_EQ(value(text, "shoal_dht_estimated_peers"), 2);
  EXPECT_GE(value(text, "shoal_dht_messages_total{direction=\"in\",type=\"find\"}"), 1);
  EXPECT_GE(value(text, "shoal_dht_messages_total{direction=\"out\",type=\"found\"}"), 1);
  EXPECT_GE(value(text, "shoal_dht_datagrams_total{direction=\"in\"}"), 1);
  EXPECT_GE(value(text, "shoal_dht_requests_total{result=\"answered\"}"), 1);
  const proto::Endpoint was = *second->metrics();
  second->drain_and_stop(0);
  EXPECT_EQ(http_get(was, "/metrics"), "");
}

}  // namespace
}  // namespace shoal::node
