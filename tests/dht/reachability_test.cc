// SPDX-License-Identifier: Apache-2.0
// What makes a peer believe that strangers reach it, or do not.
#include "dht/reachability.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

using State = Reachability::State;

// One address in a network /16 of its own for each number.
proto::Endpoint at(int number, std::uint8_t host = 1) {
  return proto::Endpoint::v4({static_cast<std::uint8_t>(80 + number / 200),
                              static_cast<std::uint8_t>(number % 200), 1, host},
                             7000);
}

struct ReachabilityTest : testing::Test {
  // The dial-backs of a round that ask now, one of each helper.
  std::vector<std::uint64_t> ask() {
    std::vector<std::uint64_t> tokens;
    while (reachability.wants_more()) {
      const proto::Endpoint helper = at(100 + helpers++);
      EXPECT_TRUE(reachability.may_help(helper));
      tokens.push_back(reachability.asked(helper, random, now));
      EXPECT_FALSE(reachability.may_help(helper)) << "one of a network";
      reachability.sent(helper, now);
    }
    return tokens;
  }
  void wait(Duration duration) {
    const TimePoint until = now + duration;
    while (reachability.next_timeout() <= until) {
      now = std::max(now, reachability.next_timeout());
      reachability.handle_timeout(now);
      if (reachability.wants_more()) return;  // somebody must ask
    }
    now = until;
  }
  // A round in which every helper says yes, and nobody comes.
  void fail_a_round() {
    for (const std::uint64_t token : ask()) reachability.answered(token, true, now);
    wait(config.promise);
  }

  ReachabilityConfig config;
  identity::Random random{std::uint64_t{3}};
  TimePoint now{seconds(1000)};
  Reachability reachability{config, random, now};
  int helpers = 0;
};

TEST_F(ReachabilityTest, ThreeStrangersProveItAndNothingNeedsToBeAsked) {
  EXPECT_EQ(reachability.state(), State::kUnknown);
  reachability.heard(at(1), 0, now);
  reachability.heard(at(1, 2), 0, now);  // of the same network: one stranger
  reachability.heard(at(2), 0, now);
  EXPECT_EQ(reachability.state(), State::kUnknown);
  reachability.heard(at(3), 0, now);
  EXPECT_EQ(reachability.state(), State::kReachable);
  wait(config.first);
  EXPECT_FALSE(reachability.wants_more());
  EXPECT_EQ(reachability.asks(), 0u);
}

TEST_F(ReachabilityTest, WhomWeWroteToIsNoStranger) {
  for (int i = 0; i < 3; ++i) reachability.sent(at(i), now);
  now += seconds(100);
  for (int i = 0; i < 3; ++i) reachability.heard(at(i), 0, now);
  EXPECT_EQ(reachability.state(), State::kUnknown);
  // A NAT has forgotten by then.
  now += 2 * config.nat_memory;
  for (int i = 0; i < 3; ++i) reachability.heard(at(i), 0, now);
  EXPECT_EQ(reachability.state(), State::kReachable);
}

TEST_F(ReachabilityTest, NeighboursInPrivateRangesProveNothing) {
  for (std::uint8_t i = 0; i < 10; ++i)
    reachability.heard(proto::Endpoint::v4({10, i, 0, 1}, 7000), 0, now);
  EXPECT_EQ(reachability.state(), State::kUnknown);
  EXPECT_FALSE(reachability.may_help(proto::Endpoint::v4({192, 168, 0, 1}, 7000)));
}

TEST_F(ReachabilityTest, ThreeOfFiveDialBacksThatComeDecideForIt) {
  wait(config.first);
  const auto tokens = ask();
  ASSERT_EQ(tokens.size(), config.answers);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(reachability.state(), State::kUnknown);
    // Before the helper's answer or after it.
    if (i == 0) reachability.answered(tokens[i], true, now);
    reachability.heard(at(static_cast<int>(i)), tokens[i], now);
  }
  EXPECT_EQ(reachability.state(), State::kReachable);
  EXPECT_FALSE(reachability.wants_more());
}

TEST_F(ReachabilityTest, ThreeOfFiveThatDoNotComeDecideAgainstIt) {
  wait(config.first);
  const auto tokens = ask();
  for (const std::uint64_t token : tokens) reachability.answered(token, true, now);
  wait(config.promise - milliseconds(1));
  EXPECT_EQ(reachability.state(), State::kUnknown) << "they may still come";
  wait(milliseconds(1));
  EXPECT_EQ(reachability.state(), State::kUnreachable);
}

TEST_F(ReachabilityTest, RefusalsAndFailuresAreNoAnswers) {
  wait(config.first);
  std::size_t asked = 0;
  for (int i = 0; i < 10; ++i) {
    const auto tokens = ask();
    asked += tokens.size();
    for (const std::uint64_t token : tokens) reachability.answered(token, false, now);
  }
  EXPECT_EQ(asked, config.max_asks);  // ten times five were wanted
  EXPECT_EQ(reachability.state(), State::kUnknown);
  EXPECT_FALSE(reachability.wants_more());
  // Helpers who never answer at all are no better.
  wait(config.again_doubtful);
  EXPECT_EQ(ask().size(), config.answers);
  wait(config.promise);
  EXPECT_EQ(reachability.state(), State::kUnknown);
}

TEST_F(ReachabilityTest, ADialBackOfSomebodyWeWroteToIsNoAnswerEither) {
  wait(config.first);
  const auto tokens = ask();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    reachability.sent(at(static_cast<int>(i)), now);
    reachability.heard(at(static_cast<int>(i)), tokens[i], now);
  }
  EXPECT_EQ(reachability.state(), State::kUnknown);
  EXPECT_TRUE(reachability.wants_more());
}

TEST_F(ReachabilityTest, DialBacksOfOneNetworkCountOnce) {
  wait(config.first);
  std::uint8_t host = 1;
  for (const std::uint64_t token : ask()) reachability.heard(at(7, host++), token, now);
  EXPECT_EQ(reachability.state(), State::kUnknown);
}

TEST_F(ReachabilityTest, LyingHelpersDoNotOutweighAStranger) {
  wait(config.first);
  const auto tokens = ask();
  for (const std::uint64_t token : tokens) reachability.answered(token, true, now);
  reachability.heard(at(1), 0, now);
  wait(config.promise);
  EXPECT_EQ(reachability.state(), State::kUnknown);
}

TEST_F(ReachabilityTest, AMachineThatSleptDoesNotJudge) {
  wait(config.first);
  for (const std::uint64_t token : ask()) reachability.answered(token, true, now);
  now += minutes(30);
  reachability.handle_timeout(now);
  EXPECT_EQ(reachability.state(), State::kUnknown);
}

TEST_F(ReachabilityTest, RoundsAreSeldom) {
  wait(config.first);
  fail_a_round();
  ASSERT_EQ(reachability.state(), State::kUnreachable);
  EXPECT_EQ(reachability.next_timeout(), now + config.again_doubtful);
  wait(config.again_doubtful);
  int stranger = 0;
  for (const std::uint64_t token : ask()) reachability.heard(at(++stranger), token, now);
  EXPECT_EQ(reachability.state(), State::kReachable);
  EXPECT_EQ(reachability.next_timeout(), now + config.again);
  EXPECT_EQ(reachability.asks(), 2 * config.answers);
}

TEST_F(ReachabilityTest, RoundsThatDecideNothingBecomeRare) {
  Duration last{};  // waited
  for (int round = 0; round < 6; ++round) {
    const TimePoint began = now;
    wait(minutes(61));
    EXPECT_GE(now - began, std::min(2 * last, config.again) - config.round);
    last = now - began;
    for (int i = 0; i < 10; ++i) {
      for (const std::uint64_t token : ask()) reachability.answered(token, false, now);
    }
  }
  EXPECT_NEAR(static_cast<double>(last.count()), static_cast<double>(config.again.count()),
              static_cast<double>(config.round.count()));
}

TEST_F(ReachabilityTest, StrangersWhoComeEndTheClientMode) {
  wait(config.first);
  fail_a_round();
  ASSERT_EQ(reachability.state(), State::kUnreachable);
  for (int i = 1; i <= 3; ++i) reachability.heard(at(i), 0, now);
  EXPECT_EQ(reachability.state(), State::kReachable);
}

TEST_F(ReachabilityTest, OldStrangersProveNothing) {
  for (int i = 1; i <= 3; ++i) reachability.heard(at(i), 0, now);
  ASSERT_EQ(reachability.state(), State::kReachable);
  // So early it may have been a NAT that remembers an earlier run: looked at again soon.
  EXPECT_EQ(reachability.next_timeout(), now + config.again_doubtful);
  wait(config.again_doubtful);
  EXPECT_TRUE(reachability.wants_more());
}

TEST_F(ReachabilityTest, ASmallSwarmNeedsNoProof) {
  wait(config.first);
  fail_a_round();
  ASSERT_EQ(reachability.state(), State::kUnreachable);
  reachability.not_needed(now);
  EXPECT_EQ(reachability.state(), State::kUnknown);
  EXPECT_EQ(reachability.next_timeout(), now + config.first);
}

TEST(RecentAddressesTest, RemembersAtLeastSoLongAndForgetsAfterHalfAsLongAgain) {
  identity::Random random(std::uint64_t{1});
  RecentAddresses recent(seconds(300), random);
  const TimePoint start{seconds(50)};
  recent.add(at(1), start);
  EXPECT_TRUE(recent.has(at(1), start + seconds(300)));
  EXPECT_FALSE(recent.has(at(1), start + seconds(450)));
  recent.add(at(1), start + seconds(600));
  EXPECT_FALSE(recent.has(at(1), start + seconds(5000))) << "after a silence";
  proto::Endpoint other_port = at(2);
  recent.add(at(2), start + seconds(5000));
  other_port.port = 9;
  EXPECT_TRUE(recent.has(other_port, start + seconds(5000))) << "some NATs look at no port";
  int taken_for_known = 0;
  for (int i = 0; i < 1000; ++i) recent.add(at(i), start + seconds(5001));
  for (int i = 0; i < 1000; ++i) taken_for_known += recent.has(at(2000 + i), start + seconds(5001));
  EXPECT_NEAR(taken_for_known, 217, 50);
}

TEST(DialHelpTest, IsBoundedForEachNetworkAndInAll) {
  const ReachabilityConfig config;
  identity::Random random(std::uint64_t{1});
  DialHelp help(config, random);
  const TimePoint now{seconds(50)};
  int taken = 0;
  for (std::uint8_t host = 0; host < 100; ++host) taken += help.take(at(1, host), now);
  EXPECT_EQ(taken, config.help_network.burst);
  for (int i = 2; i < 1000; ++i) taken += help.take(at(i), now);
  EXPECT_EQ(taken, config.help.burst);
  EXPECT_TRUE(help.take(at(5), now + seconds(2)));
  EXPECT_FALSE(help.take(at(6), now + seconds(2)));
}

}  // namespace
}  // namespace shoal::dht
