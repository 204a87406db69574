// SPDX-License-Identifier: Apache-2.0
// Which address is tried when, and what is said when none will do.
#include "net/dial_race.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/limits.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr milliseconds kStagger{proto::kDialStaggerMs};
constexpr milliseconds kDeadline{proto::kConnectTimeoutMs};
const DialRace::Time kStart{std::chrono::hours(1)};

proto::Address v4(int number) {
  return proto::Endpoint::v4({10, 0, 0, static_cast<std::uint8_t>(number)}, 7000);
}
proto::Address v6(int number) {
  proto::Endpoint endpoint{{0xfd}, 7000};
  endpoint.address[15] = static_cast<std::uint8_t>(number);
  return endpoint;
}
std::string words(const DialRace& race) { return std::string(race.verdict().message()); }

TEST(DialRace, TheNextIsTriedWhenTheOneBeforeTakesLong) {
  DialRace race({v4(1), v4(2), v4(3)}, {}, kStart);
  EXPECT_THAT(race.due(kStart), ElementsAre(v4(1)));
  EXPECT_EQ(race.next(), kStart + kStagger);
  EXPECT_THAT(race.due(kStart + kStagger - milliseconds(1)), IsEmpty());
  EXPECT_THAT(race.due(kStart + kStagger), ElementsAre(v4(2)));
  EXPECT_THAT(race.due(kStart + kStagger), IsEmpty());
  EXPECT_THAT(race.due(kStart + 2 * kStagger), ElementsAre(v4(3)));
  EXPECT_EQ(race.next(), kStart + kDeadline);
  EXPECT_FALSE(race.lost(kStart + kDeadline - milliseconds(1)));
  EXPECT_TRUE(race.lost(kStart + kDeadline));
}

TEST(DialRace, AFailureMakesRoomForTheNextAtOnce) {
  DialRace race({v4(1), v4(2), v4(3)}, {}, kStart);
  race.due(kStart);
  race.failed(v4(1), absl::UnavailableError("no"));
  EXPECT_LE(race.next(), kStart);
  EXPECT_THAT(race.due(kStart), ElementsAre(v4(2)));
  EXPECT_THAT(race.due(kStart), IsEmpty()) << "the second is under way";
  race.failed(v4(2), absl::UnavailableError("no"));
  EXPECT_THAT(race.due(kStart), ElementsAre(v4(3)));
  EXPECT_FALSE(race.lost(kStart));
  race.failed(v4(3), absl::UnavailableError("no"));
  EXPECT_TRUE(race.lost(kStart)) << "long before the deadline";
}

TEST(DialRace, FamiliesAlternateAndWhatWorkedLastComesFirst) {
  const std::vector<proto::Address> addresses{v4(1), v4(2), v4(3), v6(1), v6(2)};
  const auto order = [&](const std::optional<proto::Address>& worked) {
    DialRace race(addresses, worked, kStart);
    std::vector<proto::Address> result;
    for (int i = 0; i < 5; ++i) result.push_back(race.due(kStart + i * kStagger).at(0));
    return result;
  };
  EXPECT_THAT(order({}), ElementsAre(v4(1), v6(1), v4(2), v6(2), v4(3)));
  EXPECT_THAT(order(v4(3)), ElementsAre(v4(3), v6(1), v4(1), v6(2), v4(2)));
  EXPECT_THAT(order(v6(2)), ElementsAre(v6(2), v4(1), v6(1), v4(2), v4(3)));
  EXPECT_THAT(order(v4(9)), ElementsAre(v4(1), v6(1), v4(2), v6(2), v4(3))) << "not named any more";
}

TEST(DialRace, RelaysComeAfterAllOthers) {
  const proto::Address relayed = proto::Address::through({}, v4(8).endpoint);
  const proto::Address relayed_v6 = proto::Address::through({}, v6(8).endpoint);
  DialRace race({relayed, relayed_v6, v4(1), v6(1)}, relayed_v6, kStart);
  for (const proto::Address& next : {v4(1), v6(1), relayed_v6, relayed}) {
    EXPECT_THAT(race.due(kStart), ElementsAre(next));
    race.failed(next, absl::UnavailableError("no"));
  }
}

TEST(DialRace, MoreAddressesMayJoinAndTheNumberIsBounded) {
  DialRace race({v4(1)}, {}, kStart);
  race.due(kStart);
  race.failed(v4(1), absl::UnavailableError("no"));
  std::vector<proto::Address> more{v4(1)};
  for (int i = 2; i < 100; ++i) more.push_back(v4(i));
  race.add(more);
  EXPECT_FALSE(race.lost(kStart));
  std::size_t started = 1;
  for (int i = 0; i < 20; ++i) started += race.due(kStart + i * kStagger).size();
  EXPECT_EQ(started, proto::kMaxDialledAddresses);
}

TEST(DialRace, AddressesOfNobodyAreNeverTried) {
  const proto::Endpoint nobody[] = {proto::Endpoint::v4({0, 0, 0, 0}, 7000),
                                    proto::Endpoint::v4({224, 0, 0, 1}, 7000),
                                    proto::Endpoint::v4({255, 255, 255, 255}, 7000),
                                    proto::Endpoint::v4({10, 0, 0, 1}, 0),
                                    proto::Endpoint{{0xff, 2}, 7000},
                                    proto::Endpoint{{0xfe, 0x80}, 7000},
                                    proto::Endpoint{{}, 7000}};
  for (const proto::Endpoint& address : nobody) {
    DialRace race({address}, {}, kStart);
    EXPECT_THAT(race.due(kStart), IsEmpty()) << proto::to_string(address);
    EXPECT_TRUE(race.lost(kStart)) << proto::to_string(address);
    DialRace mixed({address, v4(2)}, {}, kStart);
    EXPECT_THAT(mixed.due(kStart), ElementsAre(v4(2))) << proto::to_string(address);
  }
}

TEST(DialRace, TimeInWhichWeStoodStillDoesNotCount) {
  DialRace race({v4(1)}, {}, kStart);
  race.due(kStart);
  race.slept(std::chrono::seconds(60));
  EXPECT_FALSE(race.lost(kStart + std::chrono::seconds(60) + kDeadline - milliseconds(1)));
  EXPECT_TRUE(race.lost(kStart + std::chrono::seconds(60) + kDeadline));
}

TEST(DialRace, TheVerdictSaysWhatIsWrongWithEachAddress) {
  DialRace one({v4(1)}, {}, kStart);
  one.due(kStart);
  one.failed(v4(1), absl::UnavailableError("nothing listens there"));
  EXPECT_EQ(words(one), "nothing listens there");

  DialRace two({v4(1), v4(2)}, {}, kStart);
  two.due(kStart);
  two.failed(v4(1), absl::UnauthenticatedError("another peer answers"));
  two.due(kStart);
  EXPECT_THAT(words(two), testing::AllOf(testing::HasSubstr("2 addresses"),
                                         testing::HasSubstr("10.0.0.1:7000: another peer answers"),
                                         testing::HasSubstr("10.0.0.2:7000: it did not answer")));
  EXPECT_EQ(two.verdict().code(), absl::StatusCode::kUnavailable) << "the node may come back there";
  two.failed(v4(2), absl::UnauthenticatedError("another peer answers"));
  EXPECT_EQ(words(two), "another peer answers");
  EXPECT_EQ(two.verdict().code(), absl::StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace shoal::net
