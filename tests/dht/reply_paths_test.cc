// SPDX-License-Identifier: Apache-2.0
#include "dht/reply_paths.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

constexpr TimePoint kNow{seconds(1000)};

proto::Endpoint at(const char* text) { return *proto::parse_endpoint(text); }
ReplyPaths::LocalAddress local(const char* text) { return at(text).address; }

TEST(ReplyPaths, LeadBackFromWhereAPeerSpokeToUsLast) {
  ReplyPaths paths;
  EXPECT_EQ(paths.towards(at("192.0.2.9:7"), kNow), nullptr);
  paths.heard(at("192.0.2.9:7"), local("192.0.2.1:0"), kNow);
  ASSERT_NE(paths.towards(at("192.0.2.9:7"), kNow), nullptr);
  EXPECT_EQ(*paths.towards(at("192.0.2.9:7"), kNow), local("192.0.2.1:0"));
  EXPECT_EQ(paths.towards(at("192.0.2.9:8"), kNow), nullptr) << "another peer, of the same host";
  paths.heard(at("192.0.2.9:7"), local("192.0.2.2:0"), kNow);
  EXPECT_EQ(*paths.towards(at("192.0.2.9:7"), kNow), local("192.0.2.2:0"));
  paths.failed(at("192.0.2.9:7"));
  EXPECT_EQ(paths.towards(at("192.0.2.9:7"), kNow), nullptr);
}

TEST(ReplyPaths, APathThatNobodyAnswersOnIsGivenUp) {
  ReplyPaths paths;
  paths.heard(at("192.0.2.9:7"), local("192.0.2.1:0"), kNow);
  int sent = 0;
  while (paths.towards(at("192.0.2.9:7"), kNow) != nullptr) ASSERT_LT(++sent, 100);
  EXPECT_GE(sent, 3) << "a request is sent three times before it fails";
  paths.heard(at("192.0.2.9:7"), local("192.0.2.1:0"), kNow);
  for (int i = 0; i < 100; ++i) {  // one that answers is kept
    EXPECT_NE(paths.towards(at("192.0.2.9:7"), kNow), nullptr);
    paths.heard(at("192.0.2.9:7"), local("192.0.2.1:0"), kNow);
  }
}

TEST(ReplyPaths, AreBounded) {
  ReplyPaths paths;
  for (int i = 0; i < 100'000; ++i) {
    paths.heard(proto::Endpoint::v4({10, 0, 0, 1}, static_cast<std::uint16_t>(i)),
                local("192.0.2.1:0"), kNow);
  }
  EXPECT_LE(paths.size(), 8'192u);
}

TEST(MeetingPoints, AreAddressesOfOursAtWhichOtherMachinesReachUs) {
  MeetingPoints met;
  met.heard(at("192.0.2.9:7"), local("192.0.2.1:0"));
  EXPECT_TRUE(met.all().empty()) << "who is somebody else is not known yet";
  met.set_own({local("192.0.2.1:0"), local("172.17.0.1:0"), local("127.0.0.1:0")});
  met.heard(at("192.0.2.1:7"), local("172.17.0.1:0"));  // ourselves
  met.heard(at("127.0.0.2:7"), local("127.0.0.1:0"));
  met.heard(at("192.0.2.9:7"), local("192.0.2.77:0"));  // not ours
  EXPECT_TRUE(met.all().empty());
  met.heard(at("172.17.0.2:7"), local("172.17.0.1:0"));
  met.heard(at("172.17.0.3:7"), local("172.17.0.1:0"));
  ASSERT_EQ(met.all().size(), 1u);
  EXPECT_EQ(met.all().front(), local("172.17.0.1:0"));
}

}  // namespace
}  // namespace shoal::dht
