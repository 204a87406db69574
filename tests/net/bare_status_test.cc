// SPDX-License-Identifier: Apache-2.0
#include "net/bare_status.h"

#include <gtest/gtest.h>

#include <string>

#include "net/status.h"

namespace shoal::net {
namespace {

TEST(BareStatus, ACodeAloneBecomesASentence) {
  for (int number = 1; number <= 16; ++number) {
    const auto code = static_cast<absl::StatusCode>(number);
    const std::string name = absl::StatusCodeToString(code);
    for (const std::string& message : std::initializer_list<std::string>{
             "", " ", name, name + ":", "Cancelled", "CANCELLED", "k" + name,
             "Received RST_STREAM with error code 8", "Stream removed", "Socket closed"}) {
      const std::string text(
          to_absl(grpc::Status(static_cast<grpc::StatusCode>(number), message), "node x")
              .message());
      EXPECT_EQ(text.find("CANCEL"), std::string::npos) << text;
      EXPECT_EQ(text.find("RST_STREAM"), std::string::npos) << text;
      EXPECT_TRUE(text.starts_with("node x: ")) << text;
      EXPECT_GT(text.size(), 30u) << name << " / " << message << ": " << text;
      EXPECT_NE(text.find(' ', 10), std::string::npos) << text;
    }
  }
}

TEST(BareStatus, WordsAreKept) {
  for (const char* words : {"no KV pages left", "cancelled by the operator", "unknown session",
                            "internal error in block 5", "not found: session 12"}) {
    EXPECT_EQ(sentence_for_bare(absl::StatusCode::kInternal, words), "") << words;
  }
}

}  // namespace
}  // namespace shoal::net
