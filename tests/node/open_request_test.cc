// SPDX-License-Identifier: Apache-2.0
// Open: what a hop accepts as the beginning of a session, and what it says to everything else.
#include "node/serve/open_request.h"

#include <gtest/gtest.h>

#include <functional>

#include "node/serve/replies.h"

namespace shoal::node {
namespace {

NodeFacts facts() {
  NodeFacts facts;
  facts.peer_id.bytes[0] = 9;
  facts.offer.model_name = "tiny";
  facts.offer.model_digest.bytes[0] = 1;
  facts.offer.block_count = 8;
  facts.offer.span = {2, 6};
  facts.hidden = 256;
  facts.max_rows_per_step = 1024;
  facts.max_positions = 1000;
  return facts;
}

wire::Open good() {
  wire::Open open;
  open.mutable_version()->set_major(proto::kProtocolMajor);
  open.mutable_version()->set_minor(99);
  open.set_session_id(std::string(16, 's'));
  open.set_model_digest(facts().offer.model_digest.to_bytes());
  open.mutable_span()->set_begin(3);
  open.mutable_span()->set_end(6);
  open.set_max_positions(1000);
  open.set_epoch(7);
  open.set_hop_token(std::string(16, 't'));
  open.set_previous_peer_id(std::string(32, 'p'));
  open.mutable_next()->set_peer_id(std::string(32, 'n'));
  open.mutable_next()->set_hop_token(std::string(16, 'u'));
  open.set_codec(wire::CODEC_BF16);
  return open;
}

TEST(OpenRequest, TakesAllFields) {
  const auto result = parse_open(facts(), good());
  ASSERT_TRUE(std::holds_alternative<OpenRequest>(result)) << std::get<Refusal>(result).reason;
  const auto& request = std::get<OpenRequest>(result);
  EXPECT_EQ(request.session_id.to_bytes(), std::string(16, 's'));
  EXPECT_EQ(request.span, (proto::Span{3, 6}));
  EXPECT_EQ(request.max_positions, 1000u);
  EXPECT_EQ(request.epoch, 7u);
  EXPECT_EQ(request.previous->peer.to_bytes(), std::string(32, 'p'));
  EXPECT_EQ(request.next->token.to_bytes(), std::string(16, 'u'));
  EXPECT_EQ(request.codec, wire::CODEC_BF16);
}

TEST(OpenRequest, APrefixIsWholeHashesOfPagesThatTheSessionHasRoomFor) {
  wire::Open open = good();
  for (const std::size_t pages : {0, 1, 31}) {
    open.set_prefix(std::string(16 * pages, 'h'));
    const auto result = parse_open(facts(), open);
    ASSERT_TRUE(std::holds_alternative<OpenRequest>(result)) << pages;
    EXPECT_EQ(std::get<OpenRequest>(result).prefix.size(), pages);
  }
  for (const std::size_t bytes : {1, 15, 17, 16 * 32, 1'000'000}) {  // 1000 positions: 31 pages
    open.set_prefix(std::string(bytes, 'h'));
    const auto result = parse_open(facts(), open);
    ASSERT_TRUE(std::holds_alternative<Refusal>(result)) << bytes;
    EXPECT_EQ(std::get<Refusal>(result).code, absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::get<Refusal>(result).reason.find("at most 31 pages"), std::string::npos);
  }
  EXPECT_TRUE(parse_hashes(std::string(16 * proto::kMaxPrefixPages, 'h')).has_value());
  EXPECT_FALSE(parse_hashes(std::string(16 * (proto::kMaxPrefixPages + 1), 'h')).has_value());
}

TEST(OpenRequest, FirstAndLastHopHaveNoNeighbour) {
  wire::Open open = good();
  open.clear_hop_token();
  open.clear_previous_peer_id();
  open.clear_next();
  const auto result = parse_open(facts(), open);
  ASSERT_TRUE(std::holds_alternative<OpenRequest>(result));
  EXPECT_FALSE(std::get<OpenRequest>(result).previous.has_value());
  EXPECT_FALSE(std::get<OpenRequest>(result).next.has_value());
}

struct Case {
  const char* name;
  std::function<void(wire::Open&)> change;
  absl::StatusCode code;
  const char* says;
};

class OpenRefused : public testing::TestWithParam<Case> {};

TEST_P(OpenRefused, WithCodeAndReason) {
  wire::Open open = good();
  GetParam().change(open);
  const auto result = parse_open(facts(), open);
  ASSERT_TRUE(std::holds_alternative<Refusal>(result));
  const auto& refusal = std::get<Refusal>(result);
  EXPECT_EQ(refusal.code, GetParam().code);
  EXPECT_NE(refusal.reason.find(GetParam().says), std::string::npos) << refusal.reason;
}

using enum absl::StatusCode;
INSTANTIATE_TEST_SUITE_P(
    Open, OpenRefused,
    testing::Values(
        Case{"version", [](wire::Open& o) { o.mutable_version()->set_major(1); },
             kFailedPrecondition, "protocol 1.99"},
        Case{"no_version", [](wire::Open& o) { o.clear_version(); }, kFailedPrecondition,
             "protocol 0.0"},
        Case{"session_id", [](wire::Open& o) { o.set_session_id("short"); }, kInvalidArgument,
             "session_id"},
        Case{"digest_size", [](wire::Open& o) { o.set_model_digest(""); }, kInvalidArgument,
             "model_digest"},
        Case{"digest", [](wire::Open& o) { o.set_model_digest(std::string(32, 'x')); },
             kFailedPrecondition, "this node serves 0100000000"},
        Case{"their_digest", [](wire::Open& o) { o.set_model_digest(std::string(32, 'x')); },
             kFailedPrecondition, "you have 7878787878"},
        Case{"span_before", [](wire::Open& o) { o.mutable_span()->set_begin(1); }, kOutOfRange,
             "serves 2:6"},
        Case{"span_after", [](wire::Open& o) { o.mutable_span()->set_end(7); }, kOutOfRange, "3:7"},
        Case{"span_empty", [](wire::Open& o) { o.mutable_span()->set_end(3); }, kOutOfRange, "3:3"},
        Case{"span_reversed", [](wire::Open& o) { o.mutable_span()->set_end(2); }, kOutOfRange,
             "3:2"},
        Case{"no_positions", [](wire::Open& o) { o.set_max_positions(0); }, kOutOfRange,
             "1 to 1000"},
        Case{"positions", [](wire::Open& o) { o.set_max_positions(1001); }, kOutOfRange, "1001"},
        Case{"all_positions", [](wire::Open& o) { o.set_max_positions(0xffffffff); }, kOutOfRange,
             "1 to 1000"},
        Case{"token_alone", [](wire::Open& o) { o.clear_previous_peer_id(); }, kInvalidArgument,
             "together"},
        Case{"peer_alone", [](wire::Open& o) { o.clear_hop_token(); }, kInvalidArgument,
             "together"},
        Case{"token_size", [](wire::Open& o) { o.set_hop_token("x"); }, kInvalidArgument,
             "hop_token"},
        Case{"previous_size", [](wire::Open& o) { o.set_previous_peer_id("x"); }, kInvalidArgument,
             "previous_peer_id"},
        Case{"next_peer", [](wire::Open& o) { o.mutable_next()->set_peer_id("x"); },
             kInvalidArgument, "next.peer_id"},
        Case{"next_token", [](wire::Open& o) { o.mutable_next()->clear_hop_token(); },
             kInvalidArgument, "next.hop_token"},
        Case{"next_self",
             [](wire::Open& o) { o.mutable_next()->set_peer_id(facts().peer_id.to_bytes()); },
             kInvalidArgument, "itself"},
        Case{"codec", [](wire::Open& o) { o.set_codec(static_cast<wire::Codec>(77)); },
             kInvalidArgument, "codec 77"},
        Case{"no_codec", [](wire::Open& o) { o.clear_codec(); }, kInvalidArgument, "codec 0"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(OpenRequest, RowsOfAStepFillAChunk) {
  EXPECT_EQ(rows_per_step(256), 1024u);
  EXPECT_EQ(rows_per_step(64), 1024u);
  EXPECT_EQ(rows_per_step(8192), 32u);
  EXPECT_EQ(rows_per_step(proto::kMaxHidden), 4u);
}

TEST(Refusal, ReasonsAreBoundedAndPrintable) {
  const wire::Failure failure =
      to_failure({.code = kInternal, .reason = std::string(2000, '\n') + "\xff"});
  EXPECT_EQ(failure.code(), 13u);
  EXPECT_EQ(failure.reason(), std::string(proto::kMaxReasonBytes, '?'));
}

}  // namespace
}  // namespace shoal::node
