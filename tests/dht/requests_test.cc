// SPDX-License-Identifier: Apache-2.0
#include "dht/requests.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

const TimePoint kNow{seconds(50)};
const Contact kPeer{{{1}}, proto::Endpoint::v4({10, 0, 0, 1}, 1)};

std::uint64_t add(Requests& requests, const Contact& to = kPeer, TimePoint now = kNow) {
  Requests::Request request;
  request.id = requests.new_id();
  request.to = to;
  request.bytes = "q";
  EXPECT_TRUE(requests.add(request, now));
  return request.id;
}

TEST(RequestsTest, OnlyTheAskedPeerAnswersAndOnlyOnce) {
  Random random(1);
  Requests requests({}, random);
  const std::uint64_t id = add(requests);
  Contact other = kPeer;
  other.peer.bytes[5] = 9;
  EXPECT_FALSE(requests.take(id, other, kNow));
  other = kPeer;
  other.endpoint.port = 2;
  EXPECT_FALSE(requests.take(id, other, kNow));
  EXPECT_FALSE(requests.take(id + 1, kPeer, kNow));
  EXPECT_TRUE(requests.take(id, kPeer, kNow));
  EXPECT_FALSE(requests.take(id, kPeer, kNow));
  const std::uint64_t to_address = add(requests, {{}, kPeer.endpoint});
  EXPECT_TRUE(requests.take(to_address, kPeer, kNow));  // whoever is there
}

TEST(RequestsTest, IsFirstOverdueThenFailedAndMayBeAnsweredBetween) {
  Random random(2);
  Requests requests({}, random);
  const std::uint64_t late = add(requests);
  const std::uint64_t never = add(requests);
  EXPECT_FALSE(requests.poll_due(kNow + milliseconds(499)));
  const TimePoint soft = kNow + milliseconds(500);  // without samples
  int overdue = 0;
  while (const auto due = requests.poll_due(soft)) {
    EXPECT_FALSE(due->failed);
    ++overdue;
  }
  EXPECT_EQ(overdue, 2);
  EXPECT_TRUE(requests.take(late, kPeer, soft + seconds(1)));
  EXPECT_EQ(requests.next_timeout(), kNow + seconds(3));
  const auto due = requests.poll_due(kNow + seconds(3));
  ASSERT_TRUE(due);
  EXPECT_TRUE(due->failed);
  EXPECT_EQ(due->request.id, never);
  EXPECT_EQ(requests.size(), 0u);
  EXPECT_EQ(requests.next_timeout(), std::nullopt);
}

TEST(RequestsTest, SoftTimeoutFollowsTheRoundTripsWithinItsBounds) {
  Random random(3);
  Requests requests({}, random);
  EXPECT_EQ(requests.soft_timeout(), milliseconds(500));
  for (int i = 0; i < 40; ++i) requests.take(add(requests), kPeer, kNow + milliseconds(1));
  EXPECT_EQ(requests.soft_timeout(), milliseconds(150));
  for (int i = 0; i < 40; ++i) requests.take(add(requests), kPeer, kNow + milliseconds(100));
  EXPECT_EQ(requests.soft_timeout(), milliseconds(200));
  for (int i = 0; i < 40; ++i) requests.take(add(requests), kPeer, kNow + milliseconds(900));
  EXPECT_EQ(requests.soft_timeout(), milliseconds(500));
}

TEST(RequestsTest, SentAgainItIsOverdueAgainButNeverOutlivesItsHardDeadline) {
  Random random(4);
  Requests requests({}, random);
  const std::uint64_t id = add(requests);
  TimePoint now = kNow;
  int overdue = 0;
  for (;;) {
    now = *requests.next_timeout();
    const auto due = requests.poll_due(now);
    ASSERT_TRUE(due);
    if (due->failed) break;
    ++overdue;
    requests.resend(id, now);
  }
  EXPECT_EQ(now, kNow + seconds(3));
  EXPECT_EQ(overdue, 5);  // each half second; the sixth deadline is the hard one
}

TEST(RequestsTest, TableIsBounded) {
  Random random(5);
  RequestConfig config;
  config.max_in_flight = 3;
  Requests requests(config, random);
  for (int i = 0; i < 3; ++i) add(requests);
  Requests::Request request;
  request.id = requests.new_id();
  EXPECT_FALSE(requests.add(request, kNow));
  EXPECT_EQ(requests.to(kPeer).size(), 3u);
}

}  // namespace
}  // namespace shoal::dht
