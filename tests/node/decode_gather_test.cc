// SPDX-License-Identifier: Apache-2.0
// Whom a decode batch waits for, and for how long at most.
#include "node/device/decode_gather.h"

#include "gtest/gtest.h"

namespace shoal::node {
namespace {

using Clock = DecodeGather::Clock;
using std::chrono::microseconds;

constexpr auto kRow = microseconds(20'000);
constexpr auto kPatience = kRow / 4;

class Gather : public testing::Test {
 protected:
  // The session comes back so long after it was computed.
  void round_trip(SessionKey session, microseconds after) {
    gather_.computed(session, now_);
    now_ += after;
    gather_.arrived(session, now_);
  }
  microseconds wait() const {
    return std::chrono::duration_cast<microseconds>(gather_.wait_until(now_) - now_);
  }

  DecodeGather gather_{kRow};
  Clock::time_point now_{std::chrono::hours(1)};
};

TEST_F(Gather, NobodyIsWaitedForWhoIsNotKnownToBeQuick) {
  EXPECT_EQ(wait().count(), 0);
  gather_.computed(1, now_);
  EXPECT_EQ(wait().count(), 0);
}

TEST_F(Gather, WaitsForWhoCameBackQuicklyAQuarterOfARowAtMost) {
  round_trip(1, microseconds(300));
  gather_.computed(1, now_);
  EXPECT_EQ(wait(), kPatience);
  now_ += microseconds(1'000);
  EXPECT_EQ(wait(), kPatience - microseconds(1'000));
  now_ += kPatience;
  EXPECT_LE(wait().count(), 0);
}

TEST_F(Gather, BeginsWhenAllAreBack) {
  for (const SessionKey session : {1, 2, 3}) round_trip(session, microseconds(300));
  for (const SessionKey session : {1, 2, 3}) gather_.computed(session, now_);
  gather_.arrived(2, now_);
  gather_.arrived(1, now_);
  EXPECT_EQ(wait(), kPatience);
  gather_.arrived(3, now_);
  EXPECT_EQ(wait().count(), 0);
}

// Far away: while it travels others are computed, and it them.
TEST_F(Gather, WhoTakesLongerIsNotWaitedForUntilItIsQuickAgain) {
  round_trip(1, kPatience + microseconds(1));
  gather_.computed(1, now_);
  EXPECT_EQ(wait().count(), 0);
  gather_.arrived(1, now_ + microseconds(100));
  gather_.computed(1, now_);
  EXPECT_EQ(wait(), kPatience);
}

TEST_F(Gather, WhoNeverComesBackCostsOneWait) {
  round_trip(1, microseconds(300));
  gather_.computed(1, now_);
  now_ += kPatience;
  EXPECT_LE(wait().count(), 0);
  now_ += std::chrono::seconds(60);
  EXPECT_LE(wait().count(), 0);
  gather_.closed(1);
  gather_.arrived(1, now_);  // says nothing of a session that is gone
  EXPECT_LE(wait().count(), 0);
}

}  // namespace
}  // namespace shoal::node
