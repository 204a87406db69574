// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/companion_agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

proto::CompanionList list_with(std::uint8_t config, std::uint8_t chat) {
  proto::CompanionList list = {{"chat_template.jinja", 7, proto::Digest{{chat}}},
                               {"config.json", 10, proto::Digest{{config}}},
                               {"tokenizer.json", 20, proto::Digest{{9}}}};
  if (chat == 0) list.erase(list.begin());
  return list;
}

std::string refusal(const std::vector<ListedBy>& answers) {
  const auto agreed = agreed_list(answers);
  EXPECT_TRUE(absl::IsFailedPrecondition(agreed.status())) << agreed.status();
  return std::string(agreed.status().message());
}

TEST(CompanionAgreement, WhatAllSayIsTaken) {
  const auto one = agreed_list({{"a", list_with(1, 2)}});
  EXPECT_EQ(one.value_or(proto::CompanionList{}), list_with(1, 2));
  const auto three =
      agreed_list({{"a", list_with(1, 2)}, {"b", list_with(1, 2)}, {"c", list_with(1, 2)}});
  EXPECT_EQ(three.value_or(proto::CompanionList{}), list_with(1, 2));
  EXPECT_TRUE(absl::IsNotFound(agreed_list({}).status()));
}

TEST(CompanionAgreement, AMajorityDecidesNothing) {
  EXPECT_THAT(refusal({{"a", list_with(1, 2)},
                       {"b", list_with(1, 3)},
                       {"c", list_with(1, 2)},
                       {"d", list_with(1, 2)}}),
              AllOf(HasSubstr("disagree on chat_template.jinja: "),
                    HasSubstr("a, c and d say 020000000000 (7 bytes)"),
                    HasSubstr("b says 030000000000 (7 bytes)"), HasSubstr("--model ORG/NAME"),
                    HasSubstr("a folder"), Not(HasSubstr("config.json"))));
}

TEST(CompanionAgreement, AFileThatOneLacksIsADifference) {
  EXPECT_THAT(refusal({{"a", list_with(1, 2)}, {"b", list_with(1, 0)}}),
              HasSubstr("b says there is none"));
}

TEST(CompanionAgreement, AllThatDifferAreCounted) {
  EXPECT_THAT(refusal({{"a", list_with(1, 2)}, {"b", list_with(3, 4)}}),
              HasSubstr("chat_template.jinja (and 1 more)"));
}

// What is shown of a hash does not decide.
TEST(CompanionAgreement, HashesAreHeldAgainstEachOtherWhole) {
  proto::CompanionList other = list_with(1, 2);
  other[2].sha256.bytes[31] = 1;
  EXPECT_THAT(refusal({{"a", list_with(1, 2)}, {"b", other}}), HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace shoal::client
