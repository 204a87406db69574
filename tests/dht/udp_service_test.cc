// SPDX-License-Identifier: Apache-2.0
// The DHT on real loopback sockets.
#include "dht/udp_service.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/dht/loopback_swarm.h"

namespace shoal::dht {
namespace {

using Member = LoopbackSwarm::Member;

class SwarmSizeTest : public testing::TestWithParam<int> {};

// Small swarms: every peer knows all, every peer holds every record, and one survivor serves them.
TEST_P(SwarmSizeTest, EveryPeerKnowsAllAndOneSurvivorServesAllRecords) {
  const auto n = static_cast<std::size_t>(GetParam());
  LoopbackSwarm swarm;
  Member& first = swarm.add();
  EXPECT_EQ(swarm.publish(first, example_record(1)), 0);  // alone: kept here
  for (std::size_t i = 1; i < n; ++i) {
    Member& member = swarm.add();
    const absl::Status joined = swarm.bootstrap(member, {first.endpoint});
    ASSERT_TRUE(joined.ok()) << joined;
    EXPECT_EQ(swarm.publish(member, example_record(1)), static_cast<int>(i));
  }
  for (auto& member : swarm.members()) {
    EXPECT_TRUE(eventually([&] {
      const DhtStats stats = swarm.stats(*member);
      return stats.contacts == n - 1 && stats.records == n;
    })) << swarm.stats(*member).contacts
        << " contacts, " << swarm.stats(*member).records << " records";
  }
  const std::vector<Key> keys = keys_of(SwarmId{}, example_record(1));
  for (auto& member : swarm.members()) {
    for (const Key& key : {keys[0], keys[1], keys.back()})
      EXPECT_EQ(swarm.find(*member, key).size(), n);
  }
  for (std::size_t i = 0; i + 1 < n; ++i) swarm.stop(*swarm.members()[i]);
  EXPECT_EQ(swarm.find(*swarm.members().back(), keys[1]).size(), n);
}

INSTANTIATE_TEST_SUITE_P(Sizes, SwarmSizeTest, testing::Values(1, 2, 3, 5, 20));

TEST(UdpServiceTest, ClientFindsRecordsAndEntersNoTable) {
  LoopbackSwarm swarm;
  Member& a = swarm.add();
  Member& b = swarm.add();
  ASSERT_TRUE(swarm.bootstrap(b, {a.endpoint}).ok());
  EXPECT_EQ(swarm.publish(b, example_record(1)), 1);
  Member& client = swarm.add({kLoopback, true, {}});
  ASSERT_TRUE(swarm.bootstrap(client, {a.endpoint}).ok());
  const auto records = swarm.find(client, model_key(SwarmId{}, example_model()));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].peer_id(), b.identity.peer_id());
  EXPECT_EQ(swarm.stats(client).contacts, 2u);
  EXPECT_EQ(swarm.stats(a).contacts, 1u);
  EXPECT_EQ(swarm.stats(b).contacts, 1u);
}

TEST(UdpServiceTest, PortInUseIsNamedWithTheWayOut) {
  LoopbackSwarm swarm;
  Member& a = swarm.add();
  UdpServiceOptions options{a.endpoint, false, {}};
  const auto taken = UdpService::open(swarm.io(), a.identity, options);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kAlreadyExists);
  const std::string message(taken.status().message());
  EXPECT_NE(message.find(proto::to_string(a.endpoint)), std::string::npos);
  EXPECT_NE(message.find("--listen"), std::string::npos);
  options.listen = proto::Endpoint::v4({192, 0, 2, 1}, 7000);
  EXPECT_EQ(UdpService::open(swarm.io(), a.identity, options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(UdpServiceTest, BootstrapNamesTheAddressesThatDoNotAnswer) {
  LoopbackSwarm swarm;
  Member& gone = swarm.add();
  swarm.stop(gone);
  Member& a = swarm.add();
  const auto before = std::chrono::steady_clock::now();
  const absl::Status status = swarm.bootstrap(a, {gone.endpoint, a.endpoint}, 700);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(3));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(std::string(status.message()).find(proto::to_string(gone.endpoint)), std::string::npos);
  EXPECT_EQ(swarm.bootstrap(a, {}, 700).code(), absl::StatusCode::kInvalidArgument);
  // The socket still works after those errors.
  Member& b = swarm.add();
  EXPECT_TRUE(swarm.bootstrap(b, {gone.endpoint, a.endpoint}).ok());
}

TEST(UdpServiceTest, WithdrawnRecordIsSeenByNobodyAndDoesNotComeBack) {
  LoopbackSwarm swarm;
  Member& a = swarm.add();
  Member& b = swarm.add();
  Member& c = swarm.add();
  ASSERT_TRUE(swarm.bootstrap(b, {a.endpoint}).ok());
  ASSERT_TRUE(swarm.bootstrap(c, {a.endpoint}).ok());
  const Key key = model_key(SwarmId{}, example_model());
  EXPECT_EQ(swarm.publish(a, example_record(1)), 2);
  EXPECT_EQ(swarm.find(c, key).size(), 1u);
  Record withdrawn = example_record(2);
  withdrawn.state = proto::NodeState::kOffline;
  EXPECT_EQ(swarm.publish(a, withdrawn), 2);
  for (Member* member : {&a, &b, &c}) EXPECT_TRUE(swarm.find(*member, key).empty());
  EXPECT_EQ(swarm.publish(a, example_record(1)), 0);  // an older sequence is refused
  EXPECT_TRUE(swarm.find(b, key).empty());
}

TEST(UdpServiceTest, BootstrapMayDieAndReturn) {
  LoopbackSwarm swarm;
  Member& first = swarm.add();
  Member& a = swarm.add();
  Member& b = swarm.add();
  ASSERT_TRUE(swarm.bootstrap(a, {first.endpoint}).ok());
  ASSERT_TRUE(swarm.bootstrap(b, {first.endpoint}).ok());
  EXPECT_EQ(swarm.publish(a, example_record(1)), 2);
  const proto::Endpoint address = first.endpoint;
  const Identity identity = first.identity;
  swarm.stop(first);
  const Key key = model_key(SwarmId{}, example_model());
  EXPECT_EQ(swarm.find(b, key).size(), 1u);
  Member& returned = swarm.add({address, false, {}}, identity);  // knows nobody
  Member& late = swarm.add();
  ASSERT_TRUE(swarm.bootstrap(late, {address}).ok());
  swarm.find(b, key);  // any traffic of the old members meets it again; else their timers do
  EXPECT_TRUE(
      eventually([&] { return swarm.stats(returned).contacts == 3; }, std::chrono::seconds(20)));
  EXPECT_TRUE(eventually([&] { return swarm.find(late, key).size() == 1; }));
}

TEST(UdpServiceTest, IPv6) {
  LoopbackSwarm swarm;
  const auto any = *proto::parse_endpoint("[::1]:0");
  UdpServiceOptions options{any, false, {}};
  const auto probe = UdpService::open(swarm.io(), Identity::generate(), options);
  if (!probe.ok()) GTEST_SKIP() << "no IPv6 here: " << probe.status();
  Member& a = swarm.add(options);
  Member& b = swarm.add(options);
  ASSERT_TRUE(swarm.bootstrap(b, {a.endpoint}).ok());
  EXPECT_EQ(swarm.publish(b, example_record(1)), 1);
  EXPECT_EQ(swarm.find(a, model_key(SwarmId{}, example_model())).size(), 1u);
}

}  // namespace
}  // namespace shoal::dht
