// SPDX-License-Identifier: Apache-2.0
// What is tried again, and what people are told when it does not help.
#include "model/hub/refusal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/hub/retry.h"

namespace shoal::model::hub {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

HttpEnd answer(long status, const std::string& code = "") {
  HttpEnd end;
  end.status = absl::FailedPreconditionError("HTTP");
  end.head.status = status;
  if (!code.empty()) end.head.said["x-error-code"] = code;
  return end;
}
HttpEnd dropped() {
  HttpEnd end;
  end.status = absl::UnavailableError("Connection refused");
  return end;
}

TEST(HubRetry, WhatPassesIsTriedAgainEverLater) {
  for (const long status : {408, 425, 429, 500, 502, 503, 504}) {
    EXPECT_EQ(wait_before_retry(answer(status), 1), milliseconds(500)) << status;
  }
  EXPECT_EQ(wait_before_retry(dropped(), 1), milliseconds(500));
  EXPECT_EQ(wait_before_retry(dropped(), 2), milliseconds(1000));
  EXPECT_EQ(wait_before_retry(dropped(), kMaxTries - 1), milliseconds(500 << (kMaxTries - 2)));
  EXPECT_EQ(wait_before_retry(dropped(), kMaxTries), std::nullopt);
  EXPECT_EQ(wait_before_retry(dropped(), 2, 2), std::nullopt);
}

TEST(HubRetry, AServerIsGivenTheTimeThatItAsksFor) {
  HttpEnd busy = answer(429);
  busy.retry_after_s = 7;
  EXPECT_EQ(wait_before_retry(busy, 1), milliseconds(7000));
  busy.retry_after_s = 121;
  EXPECT_EQ(wait_before_retry(busy, 1), std::nullopt);
}

TEST(HubRetry, WhatWillNotChangeIsNotTriedAgain) {
  for (const long status : {400, 401, 403, 404, 410, 416, 501}) {
    EXPECT_EQ(wait_before_retry(answer(status), 1), std::nullopt) << status;
  }
  HttpEnd lie;
  lie.status = absl::DataLossError("other bytes");
  lie.head.status = 206;
  EXPECT_EQ(wait_before_retry(lie, 1), std::nullopt);
  EXPECT_EQ(wait_before_retry(HttpEnd{}, 1), std::nullopt);
}

TEST(HubRefusals, NameTheFolderThatIsNotThere) {
  Asked asked{.name = {"models/dmo"}, .endpoint = "https://hub", .file = "", .with_token = false};
  const auto told = [&](const HttpEnd& end) { return std::string(refusal(asked, end).message()); };
  HttpEnd torn = answer(200);
  for (const HttpEnd& end : {dropped(), answer(429), answer(503), torn}) {
    EXPECT_THAT(told(end),
                AllOf(HasSubstr("there is no folder models/dmo here"),
                      HasSubstr("as a model's name it cannot be had"), HasSubstr("https://hub")));
  }
  // What the hub has told of is no misspelt folder.
  asked.is_known = true;
  EXPECT_THAT(told(dropped()), AllOf(HasSubstr("models/dmo: cannot be had from https://hub"),
                                     Not(HasSubstr("folder"))));
  asked.is_known = false;
  asked.file = "a.json";
  EXPECT_THAT(told(dropped()), AllOf(HasSubstr("a.json of models/dmo: cannot be had from"),
                                     Not(HasSubstr("folder"))));
}

TEST(HubRefusals, SayWhatToDo) {
  Asked asked{.name = {"org/name"}, .endpoint = "https://hub", .file = "", .with_token = false};
  const auto told = [&](const HttpEnd& end) { return std::string(refusal(asked, end).message()); };
  EXPECT_THAT(told(answer(401, "GatedRepo")),
              AllOf(HasSubstr("license at https://hub/org/name"), HasSubstr("set HF_TOKEN")));
  EXPECT_THAT(told(answer(401, "RepoNotFound")),
              AllOf(HasSubstr("no such folder"), HasSubstr("misspelling"), HasSubstr("HF_TOKEN")));
  EXPECT_THAT(told(answer(401)), HasSubstr("misspelling"));
  EXPECT_THAT(told(answer(404)), HasSubstr("https://hub has no such model"));
  EXPECT_THAT(told(answer(403)), HasSubstr("set HF_TOKEN"));
  EXPECT_THAT(told(answer(429)), AllOf(HasSubstr("too many requests"), HasSubstr("HF_TOKEN")));
  EXPECT_THAT(told(answer(503)), AllOf(HasSubstr("HTTP 503"), HasSubstr("later")));
  EXPECT_THAT(told(dropped()), AllOf(HasSubstr("Connection refused"), HasSubstr("HF_HUB_OFFLINE"),
                                     HasSubstr("HF_ENDPOINT")));
  asked.name.revision = "v9";
  EXPECT_THAT(told(answer(404, "RevisionNotFound")), HasSubstr("no revision v9"));
  asked.with_token = true;
  EXPECT_THAT(told(answer(403, "GatedRepo")),
              AllOf(HasSubstr("the account of HF_TOKEN"), HasSubstr("license")));
  EXPECT_THAT(told(answer(401)), HasSubstr("does not take the token"));
  EXPECT_THAT(told(answer(429)), Not(HasSubstr("HF_TOKEN")));
  asked.file = "a.json";
  EXPECT_THAT(told(answer(404, "EntryNotFound")), HasSubstr("a.json of org/name@v9"));
}

}  // namespace
}  // namespace shoal::model::hub
