// SPDX-License-Identifier: Apache-2.0
// A node that strangers have filled, over real mutual TLS: an honest newcomer is told what is full,
// comes again, and is served within twenty seconds.
#include <gtest/gtest.h>

#include <thread>

#include "net/identity_tls.h"
#include "tests/node/demo_model.h"
#include "tests/node/hop_client.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;

class StrangersTest : public testing::Test {
 protected:
  void start(std::int64_t kv_positions, std::uint32_t max_sessions) {
    net::init_transport();
    NodeOptions options;
    options.model_directory = kDemoModel;
    options.blocks = proto::Span{0, 2};
    options.listen = *proto::parse_endpoint("127.0.0.1:0");
    options.threads = 1;
    options.kv_positions = kv_positions;
    options.max_sessions = max_sessions;
    auto node = Node::start(std::move(options));
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = std::move(*node);
  }

  // Another identity that opens sessions and keeps them; the first step fills `filled` positions.
  void stranger(int sessions, std::uint32_t positions, std::uint32_t filled) {
    strangers_.push_back(std::make_unique<HopClient>());
    for (int i = 0; i < sessions; ++i) {
      auto stream = strangers_.back()->stream(*node_);
      ASSERT_TRUE(stream->open(open_for(*node_, positions)));
      const auto frame = stream->read();
      ASSERT_TRUE(frame && frame->has_welcome()) << (frame ? frame->DebugString() : "ended");
      if (filled > 0) {
        ASSERT_TRUE(stream->step(step_of(1, 0, random_rows(1, filled), wire::RETURN_NONE)));
        ASSERT_TRUE(stream->read());
      }
      streams_.push_back(std::move(stream));
    }
  }
  // What keeps a session alive without using it.
  void pretend(std::uint64_t beat) {
    for (const auto& stream : streams_) {
      wire::ClientFrame frame;
      frame.mutable_heartbeat()->set_nonce(beat);
      stream->send(frame);
      if (tokens_ && beat % 4 == 0)
        stream->step(step_of(2 + beat, 0, random_rows(1, 1), wire::RETURN_NONE));
    }
  }

  // As a client does: asks, waits for as long as it is told, asks again. The seconds it took.
  double served_after(std::uint32_t positions, const std::string& reason) {
    HopClient newcomer;
    const auto started = Clock::now();
    std::uint64_t beat = 0;
    while (Clock::now() - started < std::chrono::seconds(30)) {
      auto stream = newcomer.stream(*node_);
      EXPECT_TRUE(stream->open(open_for(*node_, positions)));
      const auto frame = stream->read();
      if (frame && frame->has_welcome()) {
        EXPECT_TRUE(stream->step(step_of(1, 0, random_rows(1, 5), wire::RETURN_LAST)));
        const auto result = stream->read(true);
        EXPECT_TRUE(result && result->has_result());
        return std::chrono::duration<double>(Clock::now() - started).count();
      }
      EXPECT_TRUE(frame && frame->has_failure());
      if (!frame || !frame->has_failure()) break;
      EXPECT_EQ(frame->failure().code(),
                static_cast<std::uint32_t>(absl::StatusCode::kResourceExhausted));
      EXPECT_NE(frame->failure().reason().find(reason), std::string::npos)
          << frame->failure().reason();
      EXPECT_GT(frame->failure().retry_after_ms(), 0u);
      EXPECT_LE(frame->failure().retry_after_ms(), 5'000u);
      const auto again =
          Clock::now() + std::chrono::milliseconds(frame->failure().retry_after_ms());
      while (Clock::now() < again) {
        pretend(++beat);
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
      }
    }
    return 99;
  }

  std::unique_ptr<Node> node_;
  std::vector<std::unique_ptr<HopClient>> strangers_;
  std::vector<std::unique_ptr<HopStream>> streams_;
  bool tokens_ = false;
};

TEST_F(StrangersTest, OnePeerThatLeasesAllKvAndDoesNothingShrinks) {
  start(8 * 1024, 64);
  stranger(8, 1024, 0);
  EXPECT_LT(served_after(1024, "KV positions"), 20);
  EXPECT_EQ(node_->stats().sessions_given_way, 0u) << "shrinking was enough";
}

TEST_F(StrangersTest, OnePeerThatFillsAllKvAndShowsATokenNowAndThenGivesWay) {
  start(4 * 512, 64);
  stranger(4, 512, 512);
  tokens_ = true;
  EXPECT_LT(served_after(512, "KV positions"), 20);
}

TEST_F(StrangersTest, ManyIdentitiesWithAllSessionsGiveOneUp) {
  start(64 * 64, 64);
  for (int id = 0; id < 16; ++id) stranger(4, 32, 1);
  tokens_ = true;
  EXPECT_LT(served_after(64, "all 64 sessions"), 20);
  EXPECT_GE(node_->stats().sessions_given_way, 1u);
  EXPECT_LE(node_->stats().sessions_given_way, 2u) << "no more than is needed";
}

TEST_F(StrangersTest, AShrunkSessionGrowsAgainOrIsToldToMove) {
  start(4 * 512, 64);
  HopClient client;
  auto idle = client.stream(*node_);
  ASSERT_TRUE(idle->open(open_for(*node_, 1024)));
  ASSERT_TRUE(idle->read()->has_welcome());
  stranger(2, 512, 512);
  {
    HopClient newcomer;
    std::this_thread::sleep_for(std::chrono::milliseconds(5'300));
    auto stream = newcomer.stream(*node_);
    ASSERT_TRUE(stream->open(open_for(*node_, 512)));
    ASSERT_TRUE(stream->read()->has_welcome()) << "what the idle session never used";
    ASSERT_TRUE(idle->step(step_of(1, 0, random_rows(1, 300), wire::RETURN_NONE)));
    EXPECT_TRUE(idle->read()->has_ack()) << "there is room for this step";
    ASSERT_TRUE(idle->step(step_of(2, 300, random_rows(1, 300), wire::RETURN_NONE)));
    const auto failure = idle->failure();
    ASSERT_TRUE(failure.has_value());
    EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kResourceExhausted));
    EXPECT_NE(failure->reason().find("use another node"), std::string::npos);
  }
}

}  // namespace
}  // namespace shoal::node
