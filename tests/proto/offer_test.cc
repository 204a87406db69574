// SPDX-License-Identifier: Apache-2.0
// What a node offers, its load and its description: every field survives the wire, and every one
// out of bounds is refused.
#include "proto/offer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "proto/description.h"
#include "proto/limits.h"

namespace shoal::proto {
namespace {

using ::testing::HasSubstr;

Offer example() {
  Offer offer;
  offer.model_digest.bytes.fill(9);
  offer.model_name = "demo";
  offer.block_count = 8;
  offer.span = {2, 5};
  offer.numerics = {Compute::kF32, WeightFormat::kBf16, KvFormat::kF32};
  offer.public_name = "Änne";
  offer.movable_blocks = 3;
  return offer;
}

Description description() {
  Description result;
  result.peer.bytes.fill(3);
  result.run = 77;
  result.load = {NodeState::kOnline, 123.5, 4096, 3};
  result.serving = {example(), {5, 64, 8192}, 256, 1024, 2048};
  return result;
}

TEST(OfferTest, EveryFieldSurvivesTheWire) {
  const auto offer = from_wire(to_wire(example()));
  ASSERT_TRUE(offer.ok()) << offer.status();
  EXPECT_EQ(*offer, example());
  const Load load{NodeState::kDraining, 123.5, 4096, 3, {5, 8}};
  EXPECT_EQ(*from_wire(to_wire(load)), load);
}

TEST(OfferTest, EndsThatTheSpanReachesSurviveTheWire) {
  Offer first = example(), last = example();
  first.span = {0, 5};
  first.ends.embeds = true;
  last.span = {2, 8};
  last.ends.head = WeightFormat::kQ8;
  EXPECT_EQ(*from_wire(to_wire(first)), first);
  EXPECT_EQ(*from_wire(to_wire(last)), last);
  EXPECT_EQ(to_string(last.ends.head), "q8");
  first.ends.head = WeightFormat::kQ8;
  EXPECT_FALSE(from_wire(to_wire(first)).ok());
}

TEST(OfferTest, NamesAreMadeCleanBeforeTheyAreTold) {
  Offer offer = example();
  offer.model_name = std::string(200, 'm');
  offer.public_name = "a\nb";
  const auto told = from_wire(to_wire(offer));
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->model_name, std::string(kMaxNameBytes, 'm'));
  EXPECT_EQ(told->public_name, "a?b");
}

TEST(OfferTest, AKindThatALaterVersionKnowsIsKeptAndShown) {
  wire::Offer later = to_wire(example());
  later.set_compute(static_cast<wire::Compute>(9));
  later.set_kv(static_cast<wire::KvFormat>(255));
  const auto offer = from_wire(later);
  ASSERT_TRUE(offer.ok()) << offer.status();
  EXPECT_EQ(to_string(offer->numerics), "kind 9/bf16, KV kind 255");
  EXPECT_EQ(to_wire(*offer).SerializeAsString(), later.SerializeAsString());
}

TEST(OfferTest, ArithmeticIsShownShort) {
  EXPECT_EQ(to_string(example().numerics), "f32/bf16");
  EXPECT_EQ(to_string(Numerics{Compute::kI8, WeightFormat::kQ4, KvFormat::kBf16}),
            "i8/q4, KV bf16");
  EXPECT_EQ(to_string(Numerics{Compute::kI8, WeightFormat::kQ4, KvFormat::kI8}), "i8/q4, KV i8");
  EXPECT_EQ(to_string(Numerics{}), "unknown/unknown, KV unknown");
  EXPECT_EQ(weight_format_of("f16"), WeightFormat::kF16);
  EXPECT_EQ(weight_format_of("q4s"), WeightFormat::kQ4S);
  EXPECT_EQ(weight_format_of("unknown"), WeightFormat::kUnknown);
  EXPECT_EQ(weight_format_of("f8_e4m3"), WeightFormat::kUnknown);
  EXPECT_EQ(kv_format_of("f32"), KvFormat::kF32);
  EXPECT_EQ(kv_format_of("bf16"), KvFormat::kBf16);
  EXPECT_EQ(kv_format_of("f16"), KvFormat::kF16);
  EXPECT_EQ(kv_format_of("i8"), KvFormat::kI8);
  EXPECT_EQ(kv_format_of("unknown"), KvFormat::kUnknown);
}

TEST(OfferTest, EveryFieldOutOfBoundsIsRefused) {
  const std::vector<std::function<void(wire::Offer&)>> changes = {
      [](auto& o) { o.set_model_digest(std::string(31, 'x')); },
      [](auto& o) { o.set_model_name(std::string(65, 'x')); },
      [](auto& o) { o.set_public_name("\x1b[31m"); },
      [](auto& o) { o.set_block_count(0); },
      [](auto& o) { o.set_block_count(513); },
      [](auto& o) { o.set_span_end(9); },
      [](auto& o) { o.set_span_begin(6); },
      [](auto& o) { o.set_compute(static_cast<wire::Compute>(256)); },
      [](auto& o) { o.set_weights(static_cast<wire::WeightFormat>(-1)); },
      [](auto& o) { o.set_kv(static_cast<wire::KvFormat>(1 << 20)); },
      [](auto& o) { o.set_head(static_cast<wire::WeightFormat>(256)); },
      [](auto& o) { o.set_embeds(true); },  // it has blocks 2:5 of 8
      [](auto& o) { o.set_head(wire::WEIGHTS_Q8); },
      [](auto& o) { o.set_movable_blocks(9); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    wire::Offer offer = to_wire(example());
    changes[i](offer);
    EXPECT_EQ(from_wire(offer).status().code(), absl::StatusCode::kInvalidArgument) << i;
  }
  const std::vector<std::function<void(wire::Load&)>> loads = {
      [](auto& l) { l.set_state(4); },
      [](auto& l) { l.set_block_step_us(std::numeric_limits<float>::quiet_NaN()); },
      [](auto& l) { l.set_block_step_us(std::numeric_limits<float>::infinity()); },
      [](auto& l) { l.set_block_step_us(-1); },
      [](auto& l) { l.set_moving_begin(1); },  // and no end
      [](auto& l) { l.set_moving_end(513); },
  };
  for (std::size_t i = 0; i < loads.size(); ++i) {
    wire::Load load;
    loads[i](load);
    EXPECT_EQ(from_wire(load).status().code(), absl::StatusCode::kInvalidArgument) << i;
  }
}

TEST(DescriptionTest, EveryFieldSurvivesTheWire) {
  const Description in = description();
  const auto out = from_wire(to_wire(in));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->peer, in.peer);
  EXPECT_EQ(out->run, in.run);
  EXPECT_EQ(out->load, in.load);
  ASSERT_TRUE(out->serving.has_value());
  EXPECT_EQ(out->serving->offer, in.serving->offer);
  EXPECT_EQ(out->serving->occupancy.sessions, 5u);
  EXPECT_EQ(out->serving->occupancy.max_sessions, 64u);
  EXPECT_EQ(out->serving->occupancy.total_kv_positions, 8192u);
  EXPECT_EQ(out->serving->hidden, 256u);
  EXPECT_EQ(out->serving->max_rows_per_step, 1024u);
  EXPECT_EQ(out->serving->max_positions, 2048u);
  EXPECT_EQ(out->version_minor, kProtocolMinor);
}

TEST(DescriptionTest, ANodeThatHasLoadedNothingServesNothing) {
  Description joining;
  joining.load.state = NodeState::kJoining;
  const auto out = from_wire(to_wire(joining));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_FALSE(out->serving.has_value());
  EXPECT_EQ(out->load.state, NodeState::kJoining);
}

TEST(DescriptionTest, AnotherMajorVersionAndNonsenseAreRefusedWithAReason) {
  wire::DescribeReply reply = to_wire(description());
  reply.mutable_version()->set_major(1);
  absl::Status status = from_wire(reply).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("speaks protocol 1.2, this program speaks 2.2"));
  reply = to_wire(description());
  reply.mutable_offer()->set_span_begin(5);
  status = from_wire(reply).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("serves no block"));
  reply.mutable_offer()->set_span_end(99);
  EXPECT_THAT(std::string(from_wire(reply).status().message()), HasSubstr("not within the model"));
  reply = to_wire(description());
  reply.set_peer_id("short");
  EXPECT_FALSE(from_wire(reply).ok());
}

}  // namespace
}  // namespace shoal::proto
