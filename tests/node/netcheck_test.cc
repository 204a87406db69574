// SPDX-License-Identifier: Apache-2.0
#include "node/netcheck.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace shoal::node {
namespace {

using testing::HasSubstr;

NetCheck check_of(Rung v4, Rung v6) {
  NetCheck check;
  check.joined = true;
  check.told = "told";
  check.families.resize(2);
  check.families[0].rung = v4;
  check.families[1].rung = v6;
  return check;
}

TEST(NetCheck, SaysInOneWordWhatCameOfIt) {
  struct Case {
    Rung v4, v6;
    const char* answer;
    bool good;
    const char* text;
  };
  for (const Case& one : {
           Case{Rung::kDirect, Rung::kUnknown, "reached", true, "A node here is reached: told\n"},
           Case{Rung::kMapped, Rung::kUnreached, "reached", true, "is reached: told\n"},
           Case{Rung::kRelayed, Rung::kNobodyToAsk, "reached", true, "is reached: told\n"},
           Case{Rung::kUnreached, Rung::kDirect, "reached", true, "is reached: told\n"},
           Case{Rung::kUnreached, Rung::kNobodyToAsk, "not_reached", false,
                "A node here is not reached: told\n"},
           Case{Rung::kNobodyToAsk, Rung::kUnknown, "nobody_to_ask", false,
                "Nobody to ask: whether"},
           Case{Rung::kUnknown, Rung::kUnknown, "nobody_to_ask", false, "Nobody to ask: whether"},
       }) {
    const NetCheck check = check_of(one.v4, one.v6);
    EXPECT_EQ(check.is_good(), one.good) << one.answer;
    EXPECT_THAT(netcheck_text(check), HasSubstr(one.text));
    const auto json = nlohmann::json::parse(netcheck_json(check));
    EXPECT_EQ(json.at("answer"), one.answer);
    EXPECT_EQ(json.at("reached"), one.good);
  }
}

TEST(NetCheck, WithoutAnyOtherPeerNothingIsKnown) {
  NetCheck check = check_of(Rung::kNobodyToAsk, Rung::kUnknown);
  check.joined = false;
  for (const bool here : {false, true}) {
    check.is_here_only = here;
    EXPECT_EQ(check.answer(), NetCheck::Answer::kNobodyToAsk);
    EXPECT_THAT(netcheck_text(check), HasSubstr("Nobody to ask: name an address of the swarm with "
                                                "--join HOST:PORT\n"));
  }
  check.joined = true;  // on loopback, where one is told to stay
  EXPECT_EQ(check.answer(), NetCheck::Answer::kHereOnly);
  EXPECT_TRUE(check.is_good());
}

}  // namespace
}  // namespace shoal::node
