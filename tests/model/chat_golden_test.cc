// SPDX-License-Identifier: Apache-2.0
// The language of chat templates, and conversations rendered by templates in the style of each
// family, equal the reference's byte for byte; where the reference fails, so does this.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/chat/chat_template.h"
#include "tests/model/chat_fixture.h"

namespace shoal::model::chat {
namespace {

using nlohmann::ordered_json;

TEST(ChatLanguage, SmallTemplatesRenderAsByTheReference) {
  const ordered_json& fixture = chat_fixture("language.json");
  int failures = 0;
  for (const ordered_json& example : fixture["cases"]) {
    const std::string source = example[0];
    const auto segments = render_segments(source, fixture["values"]);
    if (example[1].is_string()) {
      EXPECT_TRUE(segments.ok()) << source << "\n" << segments.status();
      if (segments.ok()) {
        EXPECT_EQ(joined(*segments), example[1].get<std::string>()) << source;
      }
      continue;
    }
    ++failures;
    EXPECT_FALSE(segments.ok()) << source << "\nrenders " << (segments.ok() ? joined(*segments) : "");
    if (example[1].is_object()) {
      EXPECT_EQ(raised_message(segments.status()), example[1]["raised"].get<std::string>());
    }
  }
  EXPECT_GT(fixture["cases"].size(), 800u);
  EXPECT_GT(failures, 100);
}

Conversation conversation_of(const ordered_json& json) {
  Conversation result;
  result.messages = json["messages"];
  if (json.contains("tools")) result.tools = json["tools"];
  if (json.contains("documents")) result.documents = json["documents"];
  if (json.contains("extra")) result.extra = json["extra"];
  result.add_generation_prompt = json.value("add_generation_prompt", false);
  result.now = fixture_time();
  return result;
}

ChatTemplate chat_template(const std::string& name) {
  std::map<std::string, std::string> tokens;
  for (const auto& [token, text] : chat_fixture("conversations.json")["tokens"].items()) {
    tokens[token] = text;
  }
  auto result = ChatTemplate::parse(template_source(name), tokens);
  EXPECT_TRUE(result.ok()) << name << ": " << result.status();
  return *std::move(result);
}

TEST(ChatTemplates, NamedConversationsRenderAsByTheReference) {
  const ordered_json& conversations = chat_fixture("conversations.json")["named"];
  for (const auto& [name, expected] : chat_fixture("renderings.json").items()) {
    const ChatTemplate subject = chat_template(name);
    for (const auto& [title, wanted] : expected["named"].items()) {
      const auto segments = subject.render(conversation_of(conversations[title]));
      const std::string where = name + " with " + title;
      if (wanted.is_string()) {
        EXPECT_TRUE(segments.ok()) << where << ": " << segments.status();
        if (segments.ok()) {
          EXPECT_EQ(joined(*segments), wanted.get<std::string>()) << where;
        }
      } else {
        EXPECT_FALSE(segments.ok()) << where;
        if (wanted.is_object()) {
          EXPECT_EQ(raised_message(segments.status()), wanted["raised"].get<std::string>()) << where;
        }
      }
    }
  }
}

TEST(ChatTemplates, FiveHundredConversationsRenderAsByTheReference) {
  const ordered_json& conversations = chat_fixture("conversations.json")["many"];
  ASSERT_EQ(conversations.size(), 500u);
  for (const auto& [name, expected] : chat_fixture("renderings.json").items()) {
    const ChatTemplate subject = chat_template(name);
    int differ = 0;
    for (std::size_t i = 0; i < conversations.size(); ++i) {
      const auto segments = subject.render(conversation_of(conversations[i]));
      const ordered_json& wanted = expected["many"][i];
      std::string seen;
      if (segments.ok()) {
        seen = fnv1a(joined(*segments));
      } else if (const std::string message = raised_message(segments.status()); !message.empty()) {
        seen = fnv1a(message);
      }
      const std::string golden = wanted.is_null() ? "" : wanted.get<std::string>();
      if (seen != golden && ++differ == 1) {
        ADD_FAILURE() << name << " with conversation " << i << ": "
                      << (segments.ok() ? joined(*segments) : segments.status().ToString());
      }
    }
    EXPECT_EQ(differ, 0) << name;
  }
}

}  // namespace
}  // namespace shoal::model::chat
