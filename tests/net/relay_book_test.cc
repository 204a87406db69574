// SPDX-License-Identifier: Apache-2.0
// Who is connected with whom, who waits, and who is refused.
#include "net/relay_book.h"

#include <gtest/gtest.h>

namespace shoal::net {
namespace {

using proto::TunnelRefusal;
using std::chrono::milliseconds;

RelayBook::Time book_time(int ms) { return RelayBook::Time(milliseconds(1'000'000 + ms)); }

proto::PeerId book_peer(std::uint8_t number) {
  proto::PeerId peer;
  peer.bytes[0] = number;
  return peer;
}

const proto::PeerId kTarget = book_peer(1), kCaller = book_peer(2), kOther = book_peer(3);

TEST(RelayBook, ACallGetsTheLongestParked) {
  RelayBook book;
  EXPECT_TRUE(book.park(kTarget, 1, book_time(0)).ok());
  EXPECT_TRUE(book.park(kTarget, 2, book_time(1)).ok());
  EXPECT_EQ(book.parked(), 2u);
  EXPECT_EQ(book.parked_peers(), 1u);
  const auto answer = book.call(kCaller, kTarget, 3, book_time(2));
  ASSERT_TRUE(answer.ok() && answer.tunnel);
  EXPECT_EQ(answer.tunnel->parked, 1u);
  EXPECT_EQ(answer.tunnel->caller, 3u);
  EXPECT_EQ(book.parked(), 1u);
  EXPECT_EQ(book.tunnels(), 1u);
  book.gone(1, book_time(3));
  EXPECT_EQ(book.tunnels(), 0u);
  book.gone(3, book_time(4));
  book.gone(99, book_time(4));
  EXPECT_EQ(book.tunnels(), 0u);
  EXPECT_EQ(book.parked(), 1u);
}

TEST(RelayBook, WhatIsToStayIsGivenAwayLast) {
  RelayBook book;
  constexpr bool kLast = true;
  EXPECT_TRUE(book.park(kTarget, 1, book_time(0), {}, kLast).ok());
  EXPECT_TRUE(book.park(kTarget, 2, book_time(1)).ok());
  EXPECT_TRUE(book.park(kTarget, 3, book_time(2)).ok());
  for (const RelayBook::Id expected : {2u, 3u, 1u}) {
    const auto answer = book.call(kCaller, kTarget, 10 + expected, book_time(3));
    ASSERT_TRUE(answer.ok() && answer.tunnel);
    EXPECT_EQ(answer.tunnel->parked, expected);
  }
  EXPECT_EQ(book.parked(), 0u);
  EXPECT_TRUE(book.park(kTarget, 4, book_time(4), {}, kLast).ok());
  book.gone(4, book_time(5));
  EXPECT_EQ(book.parked(), 0u);
  EXPECT_EQ(book.parked_peers(), 0u);
}

TEST(RelayBook, CallsWaitForWhoParkedLately) {
  RelayBook book;
  EXPECT_EQ(book.call(kCaller, kTarget, 1, book_time(0)).refusal.why, TunnelRefusal::kNotParked)
      << "never parked";
  EXPECT_EQ(book.call(kCaller, kCaller, 1, book_time(0)).refusal.why, TunnelRefusal::kNotParked);
  ASSERT_TRUE(book.park(kTarget, 2, book_time(0)).ok());
  book.gone(2, book_time(100));
  auto waits = book.call(kCaller, kTarget, 3, book_time(200));
  EXPECT_TRUE(waits.ok() && !waits.tunnel);
  EXPECT_EQ(book.next(), book_time(200 + proto::kTunnelWaitMs));
  const auto parked = book.park(kTarget, 4, book_time(300));
  ASSERT_TRUE(parked.tunnel.has_value());
  EXPECT_EQ(parked.tunnel->caller, 3u);
  EXPECT_EQ(book.waiting(), 0u);
  book.gone(3, book_time(400));
  waits = book.call(kCaller, kTarget, 5, book_time(500));
  EXPECT_TRUE(waits.ok() && !waits.tunnel);
  EXPECT_TRUE(book.overdue(book_time(499 + proto::kTunnelWaitMs)).empty());
  const auto late = book.overdue(book_time(500 + proto::kTunnelWaitMs));
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].id, 5u);
  EXPECT_EQ(book.waiting(), 0u);
  EXPECT_FALSE(book.next().has_value());
  EXPECT_EQ(book.call(kCaller, kTarget, 6, book_time(301 + proto::kTunnelWaitAfterMs)).refusal.why,
            TunnelRefusal::kNotParked)
      << "too long ago";
}

TEST(RelayBook, AWaitingCallerThatGoesIsForgotten) {
  RelayBook book;
  ASSERT_TRUE(book.park(kTarget, 1, book_time(0)).ok());
  book.gone(1, book_time(0));
  ASSERT_TRUE(book.call(kCaller, kTarget, 2, book_time(1)).ok());
  book.gone(2, book_time(2));
  EXPECT_EQ(book.waiting(), 0u);
  EXPECT_FALSE(book.park(kTarget, 3, book_time(3)).tunnel.has_value());
}

TEST(RelayBook, ADeadParkedConnectionIsReplaced) {
  RelayBook book;
  ASSERT_TRUE(book.park(kTarget, 1, book_time(0)).ok());
  ASSERT_TRUE(book.park(kTarget, 2, book_time(0)).ok());
  auto answer = book.call(kCaller, kTarget, 3, book_time(1));
  answer = book.call_again(*answer.tunnel, book_time(1));
  ASSERT_TRUE(answer.tunnel.has_value());
  EXPECT_EQ(answer.tunnel->parked, 2u);
  EXPECT_EQ(book.tunnels(), 1u);
  answer = book.call_again(*answer.tunnel, book_time(2));
  EXPECT_TRUE(answer.ok() && !answer.tunnel) << "it waits";
  EXPECT_EQ(book.tunnels(), 0u);
  EXPECT_EQ(book.waiting(), 1u);
}

TEST(RelayBook, SharesAreOfPeersAndOfAll) {
  RelayLimits limits;
  limits.parked = 5;
  limits.parked_per_peer = 3;
  limits.tunnels = 3;
  limits.tunnels_per_caller = 2;
  limits.tunnels_per_target = 2;
  RelayBook book(limits);
  RelayBook::Id id = 0;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(book.park(kTarget, ++id, book_time(0)).ok());
  EXPECT_EQ(book.park(kTarget, 90, book_time(0)).refusal.why, TunnelRefusal::kYourShare);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(book.park(kOther, ++id, book_time(0)).ok());
  EXPECT_EQ(book.park(kOther, 91, book_time(0)).refusal.why, TunnelRefusal::kFull);

  EXPECT_TRUE(book.call(kCaller, kTarget, 11, book_time(1)).tunnel.has_value());
  EXPECT_TRUE(book.call(kCaller, kTarget, 12, book_time(1)).tunnel.has_value());
  EXPECT_EQ(book.call(kCaller, kTarget, 13, book_time(1)).refusal.why, TunnelRefusal::kYourShare);
  EXPECT_EQ(book.call(book_peer(4), kTarget, 14, book_time(1)).refusal.why,
            TunnelRefusal::kTheirShare);
  EXPECT_TRUE(book.call(book_peer(4), kOther, 15, book_time(1)).tunnel.has_value())
      << "another caller, another target";
  EXPECT_EQ(book.call(book_peer(4), kOther, 16, book_time(1)).refusal.why, TunnelRefusal::kFull);
  book.gone(11, book_time(2));
  EXPECT_TRUE(book.call(book_peer(4), kOther, 17, book_time(2)).tunnel.has_value());
}

TEST(RelayBook, CallsOfOnePeerHaveARate) {
  RelayLimits limits;
  limits.calls = {4, 1};
  RelayBook book(limits);
  ASSERT_TRUE(book.park(kTarget, 1, book_time(0)).ok());
  for (int i = 0; i < 4; ++i) book.call(kCaller, kOther, 10, book_time(0));
  EXPECT_EQ(book.call(kCaller, kTarget, 11, book_time(0)).refusal.why, TunnelRefusal::kYourShare);
  EXPECT_TRUE(book.call(kOther, kTarget, 12, book_time(0)).tunnel.has_value());
  ASSERT_TRUE(book.park(kTarget, 2, book_time(0)).ok());
  EXPECT_TRUE(book.call(kCaller, kTarget, 13, book_time(1'000)).tunnel.has_value());
}

TEST(RelayBook, WaitingIsBounded) {
  RelayLimits limits;
  limits.waiting_per_peer = 2;
  limits.waiting = 3;
  RelayBook book(limits);
  for (const auto& peer : {kTarget, kOther}) {
    ASSERT_TRUE(book.park(peer, 1, book_time(0)).ok());
    book.gone(1, book_time(0));
  }
  EXPECT_TRUE(book.call(kCaller, kTarget, 11, book_time(1)).ok());
  EXPECT_TRUE(book.call(kCaller, kTarget, 12, book_time(1)).ok());
  EXPECT_EQ(book.call(kCaller, kOther, 13, book_time(1)).refusal.why, TunnelRefusal::kYourShare);
  EXPECT_EQ(book.call(book_peer(4), kTarget, 14, book_time(1)).refusal.why,
            TunnelRefusal::kTheirShare);
  EXPECT_TRUE(book.call(book_peer(4), kOther, 15, book_time(1)).ok());
  EXPECT_EQ(book.call(book_peer(5), kOther, 16, book_time(1)).refusal.why, TunnelRefusal::kFull);
}

Network book_network(std::uint8_t number) {
  return Network::of(proto::Endpoint::v4({203, 0, 113, number}, 1));
}

// One caller that calls a node as fast as it is let: another one's call is connected, waits, and is
// not told that the node is used up.
TEST(RelayBook, AFloodOfOneCallerLeavesTheNodeToOthers) {
  RelayBook book;
  RelayBook::Id id = 0;
  ASSERT_TRUE(book.park(kTarget, ++id, book_time(0)).ok());
  book.gone(id, book_time(0));
  for (int i = 0; i < 40; ++i) book.call(kCaller, kTarget, ++id, book_time(1));
  EXPECT_EQ(book.waiting(), 2u);
  EXPECT_TRUE(book.call(kOther, kTarget, ++id, book_time(1)).ok()) << "it waits beside them";
  const RelayBook::Id other = id;
  EXPECT_EQ(book.waiting(), 3u);
  RelayBook::Answer parked;
  for (int i = 0; i < 3; ++i) parked = book.park(kTarget, ++id, book_time(2));
  ASSERT_TRUE(parked.tunnel.has_value());
  EXPECT_EQ(parked.tunnel->caller, other) << "the third";
  // Nor does it get more than its part of the node's tunnels.
  int opened = 0;
  for (int second = 1; second < 20; ++second) {
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(book.park(kTarget, ++id, book_time(second * 1'000)).ok());
      const RelayBook::Id line = id;
      const auto answer = book.call(kCaller, kTarget, ++id, book_time(second * 1'000));
      if (answer.tunnel) ++opened;
      if (!answer.tunnel) book.gone(line, book_time(second * 1'000));
    }
  }
  EXPECT_EQ(opened, 6) << "eight with the two that waited";
  ASSERT_TRUE(book.park(kTarget, ++id, book_time(30'000)).ok());
  EXPECT_TRUE(book.call(book_peer(9), kTarget, ++id, book_time(30'000)).tunnel.has_value());
}

// Peers cost nothing to invent; addresses do.
TEST(RelayBook, PeersOfOneAddressShare) {
  RelayLimits limits;
  limits.parked_per_address = 4;
  limits.tunnels_per_address = 2;
  RelayBook book(limits);
  RelayBook::Id id = 0;
  for (std::uint8_t peer = 10; peer < 14; ++peer) {
    EXPECT_TRUE(book.park(book_peer(peer), ++id, book_time(0), book_network(1)).ok());
  }
  EXPECT_EQ(book.park(book_peer(14), ++id, book_time(0), book_network(1)).refusal.why,
            TunnelRefusal::kYourShare);
  EXPECT_TRUE(book.park(book_peer(14), ++id, book_time(0), book_network(2)).ok());
  const RelayBook::Id elsewhere = id;
  book.gone(1, book_time(1));
  EXPECT_TRUE(book.park(book_peer(15), ++id, book_time(1), book_network(1)).ok());
  const auto call = [&](std::uint8_t caller, std::uint8_t target, std::uint8_t network) {
    return book.call(book_peer(caller), book_peer(target), ++id, book_time(2),
                     book_network(network));
  };
  EXPECT_TRUE(call(20, 11, 3).tunnel.has_value());
  const RelayBook::Id first = id;
  EXPECT_TRUE(call(21, 12, 3).tunnel.has_value());
  EXPECT_EQ(call(22, 13, 3).refusal.why, TunnelRefusal::kYourShare);
  EXPECT_TRUE(call(22, 13, 4).tunnel.has_value());
  book.gone(first, book_time(3));
  EXPECT_TRUE(call(23, 14, 3).tunnel.has_value());
  book.gone(elsewhere, book_time(4));
  EXPECT_TRUE(call(24, 15, 3).tunnel.has_value()) << "a tunnel ended at its other end";
}

}  // namespace
}  // namespace shoal::net
