// SPDX-License-Identifier: Apache-2.0
#include "proto/companion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "proto/limits.h"

namespace shoal::proto {
namespace {

using ::testing::HasSubstr;

CompanionList small_list() {
  return {{"config.json", 10, Digest{{1}}}, {"tokenizer.json", 20, Digest{{2}}}};
}

TEST(Companion, AListComesAsItWasSent) {
  CompanionList list = small_list();
  list.insert(list.begin(), {"chat_templates/tool_use.jinja", 0, Digest{{3}}});
  const auto read = from_wire(to_wire(list));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, list);
}

TEST(Companion, NamesAreThoseThatOurLoadersRead) {
  EXPECT_EQ(max_companion_bytes("tokenizer.json"), kMaxTokenizerBytes);
  EXPECT_EQ(max_companion_bytes("chat_template.jinja"), kMaxChatTemplateBytes);
  EXPECT_EQ(max_companion_bytes("chat_templates/rag-2.jinja"), kMaxChatTemplateBytes);
  EXPECT_EQ(max_companion_bytes("config.json"), kMaxCompanionBytes);
  for (const char* name : {"", "model.safetensors", "../config.json", "/etc/passwd",
                           "config.json\n", "sub/config.json", "chat_templates/.jinja",
                           "chat_templates/../x.jinja", "chat_templates/a/b.jinja",
                           "chat_templates/a.b.jinja", "chat_templates/x", "CONFIG.JSON"}) {
    EXPECT_EQ(max_companion_bytes(name), 0u) << name;
  }
  EXPECT_EQ(max_companion_bytes("chat_templates/" + std::string(kMaxNameBytes, 'a') + ".jinja"),
            0u);
}

TEST(Companion, WhatThisVersionDoesNotKnowIsLeftOut) {
  CompanionList list = small_list();
  list.push_back({"vocabulary.bin", ~0ull, Digest{}});
  EXPECT_EQ(from_wire(to_wire(list)).value_or(CompanionList{}), small_list());
}

TEST(Companion, WhatMayNotBeIsRefused) {
  const auto refusal = [](const std::function<void(wire::CompanionsReply&)>& change) {
    wire::CompanionsReply reply = to_wire(small_list());
    change(reply);
    const auto read = from_wire(reply);
    EXPECT_FALSE(read.ok());
    return std::string(read.status().message());
  };
  EXPECT_THAT(refusal([](auto& r) { r.mutable_files(0)->set_size(kMaxCompanionBytes + 1); }),
              HasSubstr("config.json has 16777217 bytes"));
  EXPECT_THAT(refusal([](auto& r) { r.mutable_files(1)->set_size(kMaxTokenizerBytes + 1); }),
              HasSubstr("tokenizer.json"));
  EXPECT_THAT(refusal([](auto& r) { r.mutable_files(0)->set_sha256("short"); }),
              HasSubstr("32 bytes"));
  EXPECT_THAT(refusal([](auto& r) { *r.add_files() = r.files(0); }), HasSubstr("twice"));
  EXPECT_THAT(refusal([](auto& r) { r.mutable_files()->RemoveLast(); }),
              HasSubstr("tokenizer.json is missing"));
  EXPECT_THAT(refusal([](auto& r) {
                for (std::size_t i = 0; i < kMaxCompanionFiles; ++i) r.add_files();
              }),
              HasSubstr("at most 96"));
  // Each as large as it may be, together they are not.
  EXPECT_THAT(refusal([](auto& r) {
                r.mutable_files(1)->set_size(kMaxTokenizerBytes);
                for (const char* name : {"tokenizer_config.json", "added_tokens.json"}) {
                  *r.add_files() = r.files(0);
                  r.mutable_files(r.files_size() - 1)->set_name(name);
                  r.mutable_files(r.files_size() - 1)->set_size(kMaxCompanionBytes);
                }
                r.mutable_files(0)->set_size(1);
              }),
              HasSubstr("at most 301989888"));
}

}  // namespace
}  // namespace shoal::proto
