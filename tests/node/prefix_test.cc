// SPDX-License-Identifier: Apache-2.0
// Kept pages over the wire: a hop begins where its client left off, and whatever Open and Keep
// claim, nobody gets what is not his and nothing breaks.
#include <gtest/gtest.h>

#include <random>

#include "base/check.h"
#include "net/identity_tls.h"
#include "tests/node/demo_model.h"
#include "tests/node/hop_client.h"

namespace shoal::node {
namespace {

std::string hashes(char text, std::size_t pages, std::size_t first = 0) {
  std::string result;
  for (std::size_t i = first; i < first + pages; ++i) {
    result += std::string(15, text) + static_cast<char>(i);
  }
  return result;
}

class PrefixTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  PrefixTest() {
    NodeOptions options;
    options.model_directory = kDemoModel;
    options.blocks = proto::Span{2, 6};
    options.listen = *proto::parse_endpoint("127.0.0.1:0");
    options.threads = 1;
    options.kv_positions = 2048;
    auto node = Node::start(std::move(options));
    CHECK(node.ok()) << node.status();
    node_ = std::move(*node);
  }
  ~PrefixTest() override {
    EXPECT_TRUE(becomes_idle(*node_)) << "the session left something behind";
  }

  // A session that is welcomed with `kept` positions.
  std::unique_ptr<HopStream> opened(const std::string& prefix, std::uint32_t kept,
                                    HopClient* client = nullptr, std::uint32_t positions = 512,
                                    proto::Span span = {2, 6}) {
    wire::Open open = open_for(*node_, positions);
    open.mutable_span()->set_begin(span.begin);
    open.mutable_span()->set_end(span.end);
    open.set_prefix(prefix);
    auto stream = (client != nullptr ? *client : client_).stream(*node_);
    EXPECT_TRUE(stream->open(open));
    const auto frame = stream->read();
    EXPECT_TRUE(frame && frame->has_welcome()) << (frame ? frame->DebugString() : "stream ended");
    EXPECT_TRUE(frame && frame->welcome().kept_positions() == kept);
    return stream;
  }
  // The rows of a step from `start` on.
  std::vector<float> run(HopStream& stream, std::uint32_t start, const std::vector<float>& x,
                         std::uint64_t step = 1) {
    EXPECT_TRUE(stream.step(step_of(step, start, x)));
    std::vector<float> result;
    while (const auto frame = stream.read()) {
      if (frame->has_result()) result = values(frame->result().activation());
      if (frame->has_ack()) return result;
      if (frame->has_failure()) ADD_FAILURE() << frame->DebugString();
    }
    ADD_FAILURE() << "stream ended";
    return result;
  }
  static bool keep(HopStream& stream, const std::string& hashes, std::uint32_t first_page = 0,
                   std::uint64_t step = 1, std::uint64_t epoch = 1) {
    wire::ClientFrame frame;
    frame.mutable_keep()->set_hashes(hashes);
    frame.mutable_keep()->set_first_page(first_page);
    frame.mutable_keep()->set_step_id(step);
    frame.mutable_keep()->set_epoch(epoch);
    return stream.send(frame);
  }
  // Frames of a stream are worked in order: an echo says that those before it are.
  static void settle(HopStream& stream) {
    wire::ClientFrame beat;
    beat.mutable_heartbeat()->set_nonce(7);
    ASSERT_TRUE(stream.send(beat));
    while (const auto frame = stream.read()) {
      if (frame->has_heartbeat()) return;
    }
    ADD_FAILURE() << "stream ended";
  }
  void leave(std::unique_ptr<HopStream> stream) {
    stream->close();
    EXPECT_FALSE(stream->failure().has_value());
    EXPECT_TRUE(becomes_idle(*node_));
  }

  std::unique_ptr<Node> node_;
  HopClient client_;
};

TEST_F(PrefixTest, ASessionGoesOnWhereAnEarlierOneLeftOff) {
  const auto x = random_rows(1, 100);
  auto first = opened(hashes('a', 3), 0);
  const auto whole = run(*first, 0, x);
  ASSERT_TRUE(keep(*first, hashes('a', 3)));
  leave(std::move(first));
  EXPECT_EQ(node_->stats().kept_pages, 3);

  const std::ptrdiff_t hidden = demo().config.hidden;
  HopClient other;
  for (HopClient* client : {&client_, &other}) {
    auto second = opened(hashes('a', 3), 96, client);
    EXPECT_TRUE(bitwise_equal(run(*second, 70, {x.begin() + 70 * hidden, x.end()}),
                              {whole.begin() + 70 * hidden, whole.end()}));
    leave(std::move(second));
  }
  EXPECT_EQ(node_->stats().reused_positions, 140u);
  // Of other blocks, another text, or the same behind another beginning: nothing.
  leave(opened(hashes('a', 3), 0, nullptr, 512, {2, 5}));
  leave(opened(hashes('b', 3), 0));
  leave(opened(hashes('b', 1) + hashes('a', 2, 1), 0));
  leave(opened(hashes('a', 2) + hashes('b', 1), 64));
  leave(opened("", 0));
}

TEST_F(PrefixTest, WelcomeNamesWhatTheHopComputesIn) {
  auto stream = client_.stream(*node_);
  ASSERT_TRUE(stream->open(open_for(*node_)));
  const auto frame = stream->read();
  ASSERT_TRUE(frame && frame->has_welcome());
  EXPECT_EQ(frame->welcome().compute(), wire::COMPUTE_F32);
  EXPECT_EQ(frame->welcome().weights(), wire::WEIGHTS_BF16);
  EXPECT_EQ(frame->welcome().kv(), wire::KV_F32);
}

TEST_F(PrefixTest, AStepBeyondWhatIsKeptLeavesAGap) {
  auto first = opened("", 0);
  run(*first, 0, random_rows(1, 70));
  ASSERT_TRUE(keep(*first, hashes('a', 2)));
  leave(std::move(first));
  auto second = opened(hashes('a', 2), 64);
  ASSERT_TRUE(second->step(step_of(1, 65, random_rows(1, 1))));
  const auto failure = second->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kOutOfRange));
}

TEST_F(PrefixTest, WhatIsNotFilledOrSaidTooLateIsNotKept) {
  auto stream = opened("", 0);
  ASSERT_TRUE(keep(*stream, hashes('z', 16)));  // before any step
  settle(*stream);
  EXPECT_EQ(node_->stats().kept_pages, 0);
  run(*stream, 0, random_rows(1, 70), 1);
  ASSERT_TRUE(keep(*stream, hashes('z', 15, 1), 1));  // behind a gap
  ASSERT_TRUE(keep(*stream, hashes('z', 16), 0, 1, 0));
  ASSERT_TRUE(keep(*stream, hashes('z', 16), 0, 1, 2));  // of other epochs
  ASSERT_TRUE(keep(*stream, ""));
  settle(*stream);
  EXPECT_EQ(node_->stats().kept_pages, 0);
  ASSERT_TRUE(keep(*stream, hashes('a', 16)));  // of which two are full
  settle(*stream);
  EXPECT_EQ(node_->stats().kept_pages, 2);
  // A step truncates; what was said of the session before it comes later.
  run(*stream, 32, random_rows(2, 70), 2);
  ASSERT_TRUE(keep(*stream, hashes('a', 3), 0, 1));
  settle(*stream);
  EXPECT_EQ(node_->stats().kept_pages, 2);
  leave(std::move(stream));
  leave(opened(hashes('a', 4), 64));
  leave(opened(hashes('z', 4), 0));
}

TEST_F(PrefixTest, MalformedHashesAreRefusedClearly) {
  for (const auto& [bytes, first] : {std::pair<std::size_t, std::uint32_t>{15, 0},
                                     {17, 0},
                                     {16 * 17, 0},  // 512 positions: 16 pages
                                     {16, 16},
                                     {16, 0xffffffff},
                                     {16 * 5000, 0}}) {
    auto stream = opened("", 0);
    ASSERT_TRUE(keep(*stream, std::string(bytes, 'h'), first));
    const auto failure = stream->failure();
    ASSERT_TRUE(failure.has_value()) << bytes;
    EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kInvalidArgument));
    EXPECT_NE(failure->reason().find("16 for each page"), std::string::npos) << failure->reason();
  }
  for (const std::size_t bytes : {1, 16 * 17, 1 << 20}) {
    wire::Open open = open_for(*node_, 512);
    open.set_prefix(std::string(bytes, 'h'));
    auto stream = client_.stream(*node_);
    ASSERT_TRUE(stream->open(open));
    const auto failure = stream->failure();
    ASSERT_TRUE(failure.has_value()) << bytes;
    EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kInvalidArgument));
    EXPECT_NE(failure->reason().find("at most 16 pages"), std::string::npos) << failure->reason();
  }
  auto stream = client_.stream(*node_);
  ASSERT_TRUE(keep(*stream, hashes('a', 1)));
  EXPECT_NE(stream->failure()->reason().find("the first frame must be open"), std::string::npos);
}

TEST_F(PrefixTest, AFloodOfKeepsPushesOutNothingOfOthersAndIsNoBurden) {
  auto mine = opened("", 0);
  const auto x = random_rows(1, 100);
  run(*mine, 0, x);
  ASSERT_TRUE(keep(*mine, hashes('m', 3)));
  leave(std::move(mine));
  HopClient flooder;
  for (int session = 0; session < 12; ++session) {
    auto stream = opened("", 0, &flooder);
    run(*stream, 0, random_rows(2, 512));
    const auto text = static_cast<char>(session + 1);
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(keep(*stream, hashes(text, 16)));
    settle(*stream);
    leave(std::move(stream));
  }
  EXPECT_EQ(node_->stats().kept_pages, 64) << "all there are";
  EXPECT_EQ(node_->stats().free_kv_positions, 2048) << "they are in nobody's way";
  leave(opened(hashes('m', 3), 96));
  {
    const auto one = opened("", 0, nullptr, 1024), two = opened("", 0, nullptr, 1024);
    EXPECT_EQ(node_->stats().kept_pages, 0);
  }
  EXPECT_TRUE(becomes_idle(*node_));
  EXPECT_EQ(node_->stats().kept_pages, 0);
  leave(opened(hashes('m', 3), 0));
}

// Frames of any content, in any order: the node serves on, and a session beside them computes what
// it should.
TEST_F(PrefixTest, WhateverIsClaimedTheNodeServesOn) {
  std::mt19937 random(5);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  const auto x = random_rows(1, 20);
  const auto expected = computed_alone({2, 6}, x);
  for (int round = 0; round < 40; ++round) {
    const std::uint32_t begin = 2 + below(4);
    wire::Open open = open_for(*node_, 512);
    open.mutable_span()->set_begin(begin);
    open.mutable_span()->set_end(begin + 1 + below(6 - begin));
    open.set_prefix(hashes(static_cast<char>('a' + below(2)), below(16)));
    auto stream = client_.stream(*node_);
    ASSERT_TRUE(stream->open(open));
    const auto frame = stream->read();
    ASSERT_TRUE(frame && frame->has_welcome());
    std::uint32_t position = frame->welcome().kept_positions();
    for (std::uint64_t step = 1; step < 8; ++step) {
      const std::uint32_t start = below(position + 1), count = 1 + below(60);
      if (start + count > 512) continue;
      stream->step(step_of(step, start, random_rows(step, count), wire::RETURN_NONE));
      position = start + count;
      const std::uint32_t first = below(4);
      keep(*stream, hashes(static_cast<char>('a' + below(2)), below(12), first), first, below(9),
           1);
    }
    if (below(2) == 0) settle(*stream);
    if (below(2) == 0) stream->close();
  }
  ASSERT_TRUE(becomes_idle(*node_));
  auto honest = opened("", 0);
  EXPECT_TRUE(bitwise_equal(run(*honest, 0, x), expected));
  leave(std::move(honest));
}

}  // namespace
}  // namespace shoal::node
