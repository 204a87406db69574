// SPDX-License-Identifier: Apache-2.0
// Which model of a swarm a client without one takes.
#include "client/cli/swarm_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

SwarmView view(const std::string& name, std::uint8_t digest, std::uint32_t served,
               std::size_t nodes = 1) {
  SwarmView result;
  result.model_name = name;
  result.model_digest.bytes[0] = digest;
  result.block_count = 8;
  for (std::size_t i = 0; i < nodes; ++i) {
    NodeView node;
    node.offer.span = {0, served};
    node.load.state = proto::NodeState::kOnline;
    result.nodes.push_back(node);
  }
  return result;
}

std::string chosen(const std::vector<SwarmView>& views, const std::string& name) {
  const auto one = choose_swarm_model(views, name);
  return one.ok() ? proto::short_name((*one)->model_digest) : std::string(one.status().message());
}

TEST(SwarmModel, WithoutANameItIsTheOneThatIsServed) {
  EXPECT_EQ(chosen({view("a", 1, 8)}, ""), "01000000");
  EXPECT_EQ(chosen({view("a", 1, 5)}, ""), "01000000");  // whoever serves the rest may come
  EXPECT_EQ(chosen({view("a", 1, 5), view("b", 2, 8)}, ""), "02000000");
  EXPECT_TRUE(absl::IsUnavailable(choose_swarm_model({}, "").status()));
}

TEST(SwarmModel, SeveralAreListedTheMostServedFirst) {
  EXPECT_THAT(
      chosen({view("a", 1, 8), view("b", 2, 8, 3)}, ""),
      AllOf(HasSubstr("serves several models: \"b\" (8 of 8 blocks, 3 nodes, digest 02000000"
                      "), \"a\" (8 of 8 blocks, 1 node, digest 01000000)"),
            HasSubstr("--model NAME")));
  EXPECT_THAT(chosen({view("a", 1, 3), view("b", 2, 0)}, ""),
              AllOf(HasSubstr("3 of 8 blocks"), HasSubstr("0 of 8 blocks")));
}

TEST(SwarmModel, ByNameByTheEndOfANameAndByDigest) {
  const std::vector<SwarmView> views = {view("org/a", 0xa1, 8), view("b", 2, 0), view("x/b", 3, 8)};
  EXPECT_EQ(chosen(views, "org/a"), "a1000000");
  EXPECT_EQ(chosen(views, "a"), "a1000000");
  EXPECT_EQ(chosen(views, "b"), "02000000");
  EXPECT_EQ(chosen(views, "a1000000"), "a1000000");
  EXPECT_THAT(chosen(views, "a100000"), HasSubstr("neither a folder nor a model"));
}

TEST(SwarmModel, OfOneNameTheDigestDecides) {
  EXPECT_THAT(chosen({view("a", 1, 8), view("a", 2, 8)}, "a"),
              AllOf(HasSubstr("several models of the swarm go by \"a\""), HasSubstr("01000000"),
                    HasSubstr("02000000"), HasSubstr("the digest of one")));
}

TEST(SwarmModel, ATypoIsToldWhatItMayMean) {
  EXPECT_THAT(chosen({view("demo", 1, 8), view("other", 2, 8)}, "dmeo"),
              AllOf(HasSubstr("did you mean demo?"), Not(HasSubstr("other"))));
  EXPECT_THAT(chosen({view("demo", 1, 8)}, "zzz"), HasSubstr("it serves \"demo\" (8 of 8"));
}

// Names come from strangers.
TEST(SwarmModel, NoControlCharacterIsShown) {
  EXPECT_THAT(chosen({view("a\x1b[2J", 1, 8), view("b", 2, 8)}, ""), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace shoal::client
