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
  identity::Random random(1);
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

using Stage = Requests::Due::Stage;

TEST(RequestsTest, IsLateThenOverdueThenFailedAndMayBeAnsweredBetween) {
  identity::Random random(2);
  Requests requests({}, random);
  const std::uint64_t late = add(requests);
  const std::uint64_t never = add(requests);
  EXPECT_FALSE(requests.poll_due(kNow + milliseconds(199)));
  for (const auto& [stage, after] : {std::pair(Stage::kLate, milliseconds(200)),
                                     std::pair(Stage::kOverdue, milliseconds(600))}) {
    int count = 0;
    while (const auto due = requests.poll_due(kNow + after)) {
      EXPECT_EQ(due->stage, stage);
      ++count;
    }
    EXPECT_EQ(count, 2);
  }
  EXPECT_TRUE(requests.take(late, kPeer, kNow + seconds(2)));
  EXPECT_EQ(requests.next_timeout(), kNow + seconds(3));
  const auto due = requests.poll_due(kNow + seconds(3));
  ASSERT_TRUE(due);
  EXPECT_EQ(due->stage, Stage::kFailed);
  EXPECT_EQ(due->request.id, never);
  EXPECT_EQ(requests.size(), 0u);
  EXPECT_EQ(requests.next_timeout(), std::nullopt);
}

Contact peer(int i) {
  Contact contact = kPeer;
  contact.peer.bytes[31] = static_cast<std::uint8_t>(i);
  contact.peer.bytes[0] = 7;
  return contact;
}

TEST(RequestsTest, OfAStrangerAnAnswerIsLateWhenNineInTenWouldHaveCome) {
  identity::Random random(3);
  Requests requests({}, random);
  const proto::PeerId stranger = peer(200).peer;
  EXPECT_EQ(requests.late_after(stranger, false), milliseconds(200));
  for (int i = 1; i <= 100; ++i)
    requests.take(add(requests, peer(i)), peer(i), kNow + milliseconds(i < 95 ? 120 : 400));
  EXPECT_EQ(requests.late_after(stranger, false), milliseconds(120));
  EXPECT_EQ(requests.late_after(stranger, true), milliseconds(240));  // two round trips
  for (int i = 1; i <= 100; ++i)
    requests.take(add(requests, peer(i)), peer(i), kNow + milliseconds(1));
  EXPECT_EQ(requests.late_after(stranger, false), milliseconds(100));  // at least
  for (int i = 1; i <= 100; ++i)
    requests.take(add(requests, peer(i)), peer(i), kNow + milliseconds(900));
  EXPECT_EQ(requests.late_after(stranger, false), milliseconds(500));  // at most
}

TEST(RequestsTest, OfAKnownPeerItIsLateByThePeersOwnRoundTrips) {
  identity::Random random(6);
  Requests requests({}, random);
  for (int i = 0; i < 30; ++i) {
    requests.take(add(requests, peer(1)), peer(1), kNow + milliseconds(300));
    requests.take(add(requests, peer(2)), peer(2), kNow + milliseconds(i % 2 == 0 ? 100 : 140));
  }
  EXPECT_LT(requests.late_after(peer(1).peer, false), milliseconds(320));
  EXPECT_GE(requests.late_after(peer(1).peer, false), milliseconds(300));
  EXPECT_GT(requests.late_after(peer(2).peer, false), milliseconds(150));  // it varies
  EXPECT_LT(requests.late_after(peer(2).peer, false), milliseconds(240));
}

TEST(RequestsTest, AnAnswerToWhatWasSentTwiceSaysNothingOfTheRoundTrip) {
  identity::Random random(7);
  Requests requests({}, random);
  for (int i = 1; i <= 20; ++i) {
    const std::uint64_t id = add(requests, peer(i));
    requests.resend(id, kNow + milliseconds(200));
    requests.take(id, peer(i), kNow + milliseconds(450));
  }
  EXPECT_EQ(requests.late_after(peer(1).peer, false), milliseconds(200));
}

TEST(RequestsTest, SentAgainItIsLateAgainButNeverOutlivesItsHardDeadline) {
  identity::Random random(4);
  Requests requests({}, random);
  const std::uint64_t id = add(requests);
  TimePoint now = kNow;
  int late = 0;
  for (;;) {
    now = *requests.next_timeout();
    const auto due = requests.poll_due(now);
    ASSERT_TRUE(due);
    if (due->stage == Stage::kFailed) break;
    EXPECT_EQ(due->stage, Stage::kLate);
    ++late;
    requests.resend(id, now);
  }
  EXPECT_EQ(now, kNow + seconds(3));
  EXPECT_EQ(late, 14);  // each 200 ms; the fifteenth deadline is the hard one
}

TEST(RequestsTest, OneThatNobodyHedgesIsToldOnlyWhenThereIsSomethingToDo) {
  identity::Random random(7);
  Requests requests({}, random);
  Requests::Request request;
  request.id = requests.new_id();
  request.to = kPeer;
  request.resends = 2;
  request.patient = true;
  ASSERT_TRUE(requests.add(request, kNow));
  std::vector<std::pair<Stage, Duration>> told;
  for (TimePoint now = kNow; now <= kNow + seconds(4); now += milliseconds(50)) {
    while (const auto due = requests.poll_due(now)) {
      told.emplace_back(due->stage, now - kNow);
      if (due->stage == Stage::kOverdue) requests.resend(request.id, now);
    }
  }
  // Never late; overdue while it can be sent again.
  using Told = std::pair<Stage, Duration>;
  EXPECT_EQ(told, (std::vector<Told>{{Stage::kOverdue, milliseconds(600)},
                                     {Stage::kOverdue, milliseconds(1200)},
                                     {Stage::kFailed, seconds(3)}}));
}

TEST(RequestsTest, TableIsBounded) {
  identity::Random random(5);
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
