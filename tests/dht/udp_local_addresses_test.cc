// SPDX-License-Identifier: Apache-2.0
// A member on a wildcard address answers from the address that was asked, whichever the kernel
// would choose.
#include <gtest/gtest.h>

#include "tests/dht/loopback_swarm.h"

namespace shoal::dht {
namespace {

using Member = LoopbackSwarm::Member;

proto::Endpoint at(const std::string& text) { return *proto::parse_endpoint(text); }

bool has_ipv6() {
  LoopbackSwarm swarm;
  return UdpService::open(swarm.io(), identity::Identity::generate(), {at("[::1]:0"), false, {}})
      .ok();
}

// Whoever joins by it, reads through it and stores at it.
void expect_serves(const std::string& listen, const proto::Endpoint& asked,
                   const std::string& from) {
  LoopbackSwarm swarm;
  Member& any = swarm.add({at(listen), false, {}});
  proto::Endpoint to = asked;
  to.port = any.endpoint.port;
  Member& other = swarm.add({at(from), false, {}});
  ASSERT_TRUE(swarm.bootstrap(other, {to}).ok()) << listen << " at " << proto::to_string(to);
  EXPECT_EQ(swarm.publish(other, example_record(1)), 1) << proto::to_string(to);
  EXPECT_EQ(swarm.find(any, model_key(identity::SwarmId{}, example_model())).size(), 1u);
  // What the wildcard member sends by itself later (a check, a store) comes from there, too: the
  // other knows it there only.
  EXPECT_EQ(swarm.publish(any, example_record(2)), 1) << proto::to_string(to);
  EXPECT_EQ(swarm.find(other, model_key(identity::SwarmId{}, example_model())).size(), 2u);
  EXPECT_EQ(swarm.stats(other).requests_failed, 0u);
  EXPECT_EQ(swarm.stats(any).requests_failed, 0u);
  // A client asks with questions only.
  Member& client = swarm.add({at(from), true, {}});
  ASSERT_TRUE(swarm.bootstrap(client, {to}).ok()) << proto::to_string(to);
  EXPECT_EQ(swarm.find(client, model_key(identity::SwarmId{}, example_model())).size(), 2u);
}

TEST(UdpLocalAddresses, EverySecondaryAddressServes) {
  for (const char* asked : {"127.0.0.1:0", "127.0.0.2:0", "127.0.0.9:0", "127.255.255.254:0"})
    expect_serves("0.0.0.0:0", at(asked), "127.0.0.1:0");
  expect_serves("0.0.0.0:0", at("127.0.0.2:0"), "127.0.0.5:0");
  expect_serves("0.0.0.0:0", at("127.0.0.2:0"), "0.0.0.0:0");
}

TEST(UdpLocalAddresses, OneSocketServesBothFamilies) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  expect_serves("[::]:0", at("[::1]:0"), "[::1]:0");
  expect_serves("[::]:0", at("127.0.0.3:0"), "127.0.0.1:0");
  expect_serves("[::]:0", at("127.0.0.3:0"), "[::]:0");
}

}  // namespace
}  // namespace shoal::dht
