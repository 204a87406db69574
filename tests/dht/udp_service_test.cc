// SPDX-License-Identifier: Apache-2.0
// The DHT on real loopback sockets.
#include "dht/udp_service.h"

#include <gtest/gtest.h>

#include "tests/dht/loopback_swarm.h"

namespace shoal::dht {
namespace {

using Member = LoopbackSwarm::Member;

TEST(UdpServiceTest, ClientFindsRecordsAndEntersNoTable) {
  LoopbackSwarm swarm;
  Member& a = swarm.add();
  Member& b = swarm.add();
  ASSERT_TRUE(swarm.bootstrap(b, {a.endpoint}).ok());
  EXPECT_EQ(swarm.publish(b, example_record(1)), 1);
  Member& client = swarm.add({kLoopback, true, {}});
  ASSERT_TRUE(swarm.bootstrap(client, {a.endpoint}).ok());
  const auto records = swarm.find(client, model_key(identity::SwarmId{}, example_model()));
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
  const Key key = model_key(identity::SwarmId{}, example_model());
  EXPECT_EQ(swarm.publish(a, example_record(1)), 2);
  EXPECT_EQ(swarm.find(c, key).size(), 1u);
  Record withdrawn = example_record(2);
  withdrawn.load.state = proto::NodeState::kOffline;
  EXPECT_EQ(swarm.publish(a, withdrawn), 2);
  for (Member* member : {&a, &b, &c}) EXPECT_TRUE(swarm.find(*member, key).empty());
  EXPECT_EQ(swarm.publish(a, example_record(1)), 0);  // an older sequence is refused
  EXPECT_TRUE(swarm.find(b, key).empty());
}

TEST(UdpServiceTest, IPv6) {
  LoopbackSwarm swarm;
  const auto any = *proto::parse_endpoint("[::1]:0");
  UdpServiceOptions options{any, false, {}};
  const auto probe = UdpService::open(swarm.io(), identity::Identity::generate(), options);
  if (!probe.ok()) GTEST_SKIP() << "no IPv6 here: " << probe.status();
  Member& a = swarm.add(options);
  Member& b = swarm.add(options);
  ASSERT_TRUE(swarm.bootstrap(b, {a.endpoint}).ok());
  EXPECT_EQ(swarm.publish(b, example_record(1)), 1);
  EXPECT_EQ(swarm.find(a, model_key(identity::SwarmId{}, example_model())).size(), 1u);
}

}  // namespace
}  // namespace shoal::dht
