// SPDX-License-Identifier: Apache-2.0
// Sessions over time: what is idle ends and frees its pages, pushes that come too early wait,
// limits hold. Without gRPC.
#include "node/serve/session_table.h"

#include <gtest/gtest.h>

#include "node/device/device_thread.h"
#include "proto/span_service.pb.h"
#include "tests/node/demo_model.h"

namespace shoal::node {
namespace {

using Clock = SessionTable::Clock;
using std::chrono::milliseconds;

class Recorder final : public ClientLink {
 public:
  void send(wire::HopFrame frame) override { frames.push_back(std::move(frame)); }
  void end(std::optional<Refusal> refusal) override {
    ++ends;
    reason = std::move(refusal);
  }
  std::vector<wire::HopFrame> frames;
  std::optional<Refusal> reason;
  int ends = 0;
};

class Waiter final : public PushWaiter {
 public:
  void session_ready(std::shared_ptr<Session> session) override { ready = std::move(session); }
  void give_up() override { ++given_up; }
  std::shared_ptr<Session> ready;
  int given_up = 0;
};

class SessionTableTest : public testing::Test {
 protected:
  void SetUp() override {
    NodeFacts& facts = serving_->facts;
    facts.hidden = 256;
    facts.offer.span = {0, 1};
    facts.max_rows_per_step = 1024;
    facts.max_positions = 512;
    facts.max_sessions = 3;
    facts.max_sessions_per_peer = 2;
    auto device =
        DeviceThread::start(demo().config, demo().checkpoint,
                            {.span = {0, 1}, .kv_positions = 2048, .threads = 1, .limits = {}});
    ASSERT_TRUE(device.ok()) << device.status();
    serving_->device = std::move(*device);
  }
  void TearDown() override {
    table_.fail_all({.code = absl::StatusCode::kUnavailable, .reason = "the test is over"});
  }

  OpenRequest request(std::uint8_t id) {
    OpenRequest request;
    request.session_id.bytes[0] = id;
    request.span = {0, 1};
    request.max_positions = 100;
    return request;
  }
  static proto::PeerId peer(std::uint8_t id) {
    proto::PeerId peer;
    peer.bytes[0] = id;
    return peer;
  }
  std::shared_ptr<Session> opened(std::uint8_t id, std::uint8_t client,
                                  std::shared_ptr<Recorder> link) {
    auto result = table_.open(serving_, request(id), peer(client), 0, link);
    if (auto* refusal = std::get_if<Refusal>(&result)) {
      refusal_ = *refusal;
      return nullptr;
    }
    auto session = std::get<std::shared_ptr<Session>>(result);
    table_.publish(session);
    return session;
  }

  const std::shared_ptr<Serving> serving_ = std::make_shared<Serving>();
  SessionTable table_;
  Refusal refusal_;
};

TEST_F(SessionTableTest, AnIdleSessionEndsWithAReasonAndFreesItsPages) {
  const auto link = std::make_shared<Recorder>();
  const auto session = opened(1, 1, link);
  ASSERT_NE(session, nullptr);
  const auto timeout = milliseconds(proto::kSessionIdleTimeoutMs);
  table_.sweep(Clock::now() + timeout - milliseconds(500));
  EXPECT_FALSE(session->closed());
  table_.sweep(Clock::now() + timeout);
  EXPECT_TRUE(session->closed());
  ASSERT_TRUE(link->reason.has_value());
  EXPECT_EQ(link->reason->code, absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(link->ends, 1);
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_EQ(serving_->device->stats().free_positions, serving_->device->stats().total_positions);
}

TEST_F(SessionTableTest, AHeartbeatKeepsASessionAlive) {
  const auto link = std::make_shared<Recorder>();
  const auto session = opened(1, 1, link);
  const auto before = session->last_activity();
  session->heartbeat(5);
  EXPECT_GE(session->last_activity(), before);
  ASSERT_EQ(link->frames.size(), 1u);
  EXPECT_EQ(link->frames[0].heartbeat().nonce(), 5u);
}

TEST_F(SessionTableTest, LimitsOfAPeerAndOfTheNode) {
  ASSERT_NE(opened(1, 1, std::make_shared<Recorder>()), nullptr);
  const auto second = opened(2, 1, std::make_shared<Recorder>());
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(opened(3, 1, std::make_shared<Recorder>()), nullptr);
  EXPECT_EQ(refusal_.code, absl::StatusCode::kResourceExhausted);
  EXPECT_NE(opened(4, 2, std::make_shared<Recorder>()), nullptr);
  EXPECT_EQ(opened(5, 3, std::make_shared<Recorder>()), nullptr);
  EXPECT_GT(refusal_.retry_after_ms, 0u);
  second->close();
  table_.remove(second);
  EXPECT_NE(opened(5, 3, std::make_shared<Recorder>()), nullptr);
}

TEST_F(SessionTableTest, APushMayComeBeforeItsSession) {
  const auto waiter = std::make_shared<Waiter>();
  EXPECT_EQ(table_.find_or_wait(request(1).session_id, waiter), nullptr);
  const auto session = opened(1, 1, std::make_shared<Recorder>());
  EXPECT_EQ(waiter->ready, session);
  EXPECT_EQ(table_.find_or_wait(request(1).session_id, waiter), session);
}

TEST_F(SessionTableTest, ASessionIsNotFoundBeforeItsLinksAreComplete) {
  const auto waiter = std::make_shared<Waiter>();
  auto result = table_.open(serving_, request(1), peer(1), 0, std::make_shared<Recorder>());
  const auto session = std::get<std::shared_ptr<Session>>(result);
  EXPECT_EQ(table_.find_or_wait(request(1).session_id, waiter), nullptr);
  EXPECT_EQ(waiter->ready, nullptr);
  table_.publish(session);
  EXPECT_EQ(waiter->ready, session);
}

TEST_F(SessionTableTest, APushWaitsForItsSessionOnlySoLong) {
  const auto waiter = std::make_shared<Waiter>();
  table_.find_or_wait(request(1).session_id, waiter);
  table_.sweep(Clock::now());
  EXPECT_EQ(waiter->given_up, 0);
  table_.sweep(Clock::now() + milliseconds(proto::kConnectTimeoutMs + 1));
  EXPECT_EQ(waiter->given_up, 1);
}

TEST_F(SessionTableTest, TooManyEarlyPushesAreTurnedAway) {
  const auto waiter = std::make_shared<Waiter>();
  for (std::uint32_t i = 0; i < proto::kMaxSessions; ++i)
    table_.find_or_wait(request(1).session_id, waiter);
  EXPECT_EQ(waiter->given_up, 0);
  table_.find_or_wait(request(2).session_id, waiter);
  EXPECT_EQ(waiter->given_up, 1);
}

TEST_F(SessionTableTest, ClosingTwiceIsClosingOnce) {
  const auto link = std::make_shared<Recorder>();
  const auto session = opened(1, 1, link);
  session->close();
  session->fail({.code = absl::StatusCode::kInternal, .reason = "late"});
  EXPECT_EQ(link->ends, 1);
  EXPECT_FALSE(link->reason.has_value());
}

TEST_F(SessionTableTest, AShutDownTableTakesNoSessions) {
  table_.refuse_new("going home");
  EXPECT_EQ(opened(1, 1, std::make_shared<Recorder>()), nullptr);
  EXPECT_EQ(refusal_.code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(refusal_.reason, "going home");
}

// The growth that ten thousand sessions would show if anything were kept of each.
TEST_F(SessionTableTest, TenThousandSessionsLeaveNothing) {
  for (int round = 0; round < 10'000; ++round) {
    const auto session = opened(static_cast<std::uint8_t>(round), 1, std::make_shared<Recorder>());
    ASSERT_NE(session, nullptr);
    session->close();
    table_.remove(session);
  }
  EXPECT_EQ(table_.size(), 0u);
  const DeviceStats stats = serving_->device->stats();
  EXPECT_EQ(stats.sessions, 0);
  EXPECT_EQ(stats.free_positions, stats.total_positions);
}

}  // namespace
}  // namespace shoal::node
