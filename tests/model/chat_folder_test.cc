// SPDX-License-Identifier: Apache-2.0
// Where a model folder keeps its chat template, and what is done to a conversation before the
// template sees it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "model/chat/chat_template.h"
#include "tests/model/chat_fixture.h"
#include "tests/support/temp_dir.h"

namespace shoal::model::chat {
namespace {

using nlohmann::ordered_json;

class Folder {
 public:
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path() + "/" + name).parent_path());
    std::ofstream(path() + "/" + name) << text;
  }
  std::string path() const { return dir_.path(); }
  // What the folder's template writes, or the error.
  std::string rendered(const Conversation& conversation) const {
    const auto subject = ChatTemplate::load(path());
    if (!subject.ok()) return std::string(subject.status().message());
    const auto segments = subject->render(conversation);
    return segments.ok() ? joined(*segments) : std::string(segments.status().message());
  }

 private:
  tests::TempDir dir_;
};

Conversation hello() {
  Conversation result;
  result.messages = {{{"role", "user"}, {"content", "hello"}}};
  return result;
}

TEST(ChatFolder, TheJinjaFileComesFirst) {
  Folder folder;
  folder.write("tokenizer_config.json", R"({"chat_template": "config", "bos_token": "<s>"})");
  EXPECT_EQ(folder.rendered(hello()), "config");
  folder.write("chat_template.json", R"({"chat_template": "json {{ bos_token }}"})");
  EXPECT_EQ(folder.rendered(hello()), "json <s>");
  folder.write("chat_template.jinja", "jinja {{ bos_token }}{{ messages[0].content }}\n");
  EXPECT_EQ(folder.rendered(hello()), "jinja <s>hello");
}

TEST(ChatFolder, SpecialTokensMayBeObjects) {
  Folder folder;
  folder.write("chat_template.jinja", "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}");
  folder.write(
      "tokenizer_config.json",
      R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null})");
  EXPECT_EQ(folder.rendered(hello()), "<s></s>False");
}

TEST(ChatFolder, AListOfTemplatesHasNames) {
  Folder folder;
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "default", "template": "usual"},
                                     {"name": "tool_use", "template": "tools"},
                                     {"name": "rag", "template": "documents"}]})");
  Conversation conversation = hello();
  EXPECT_EQ(folder.rendered(conversation), "usual");
  conversation.tools = ordered_json::array();
  EXPECT_EQ(folder.rendered(conversation), "tools");
  conversation.template_name = "rag";
  EXPECT_EQ(folder.rendered(conversation), "documents");
  conversation.template_name = "nope";
  EXPECT_EQ(folder.rendered(conversation),
            "the model has no chat template named \"nope\", only default, rag, tool_use");
}

TEST(ChatFolder, NamedTemplatesMayBeFiles) {
  Folder folder;
  folder.write("chat_template.jinja", "usual");
  folder.write("chat_templates/tool_use.jinja", "tools");
  Conversation conversation = hello();
  conversation.tools = ordered_json::array();
  EXPECT_EQ(folder.rendered(conversation), "tools");
  EXPECT_EQ(folder.rendered(hello()), "usual");
}

TEST(ChatFolder, AFolderWithoutOneSaysSo) {
  Folder folder;
  EXPECT_TRUE(absl::IsNotFound(ChatTemplate::load(folder.path()).status()));
  folder.write("tokenizer_config.json", "{}");
  const absl::Status status = ChatTemplate::load(folder.path()).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_NE(status.message().find("is this a model for conversations?"), std::string::npos);
}

TEST(ChatFolder, FaultsNameTheFile) {
  Folder folder;
  folder.write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_NE(folder.rendered(hello()).find("tokenizer_config.json: chat_template must be a text"),
            std::string::npos);
  folder.write("chat_template.jinja", "x\n{% if %}");
  EXPECT_NE(folder.rendered(hello()).find("chat_template.jinja: chat template, line 2, column 7"),
            std::string::npos)
      << folder.rendered(hello());
}

std::string seen(const ordered_json& message) {
  const auto subject = ChatTemplate::parse("{{ messages[0]|tojson }}", {});
  Conversation conversation;
  conversation.messages = ordered_json::array({message});
  const auto segments = subject->render(conversation);
  return segments.ok() ? joined(*segments) : std::string(segments.status().message());
}

TEST(Conversations, NullCountsAsAbsent) {
  EXPECT_EQ(seen({{"role", "user"}, {"content", nullptr}, {"x", {{"y", nullptr}}}}),
            R"({"role": "user", "x": {"y": null}})");
}

TEST(Conversations, ReasoningHasThreeNames) {
  const std::string wanted =
      R"({"thinking": "hm", "role": "assistant", "KEY": "hm", "reasoning_content": "hm"})";
  EXPECT_EQ(
      seen({{"role", "assistant"}, {"reasoning", "hm"}}),
      R"({"thinking": "hm", "role": "assistant", "reasoning": "hm", "reasoning_content": "hm"})");
  EXPECT_EQ(seen({{"role", "assistant"}, {"thinking", "hm"}}),
            R"({"thinking": "hm", "role": "assistant", "reasoning_content": "hm"})");
  EXPECT_EQ(seen({{"reasoning_content", "a"}, {"thinking", "b"}}),
            R"({"thinking": "b", "reasoning_content": "a"})");
}

TEST(Conversations, ArgumentsThatAreTextAreParsed) {
  const auto called = [](const ordered_json& arguments) {
    return seen(
        {{"tool_calls", ordered_json::array({{{"function", {{"arguments", arguments}}}}})}});
  };
  const auto shows = [](const std::string& arguments) {
    return R"({"tool_calls": [{"function": {"arguments": )" + arguments + "}}]}";
  };
  EXPECT_EQ(called(R"({"b":1,"a":[2.50,null]})"), shows(R"({"b": 1, "a": [2.5, null]})"));
  EXPECT_EQ(called({{"b", 1}}), shows(R"({"b": 1})"));
  EXPECT_EQ(called("{no json"), shows(R"("{no json")"));
  EXPECT_EQ(called("[1]"), shows(R"("[1]")"));
  EXPECT_EQ(called(""), shows(R"("")"));
  EXPECT_EQ(seen({{"tool_calls", ordered_json::array({{{"arguments", "{}"}}})}}),
            R"({"tool_calls": [{"arguments": {}}]})");
  EXPECT_EQ(seen({{"tool_calls", "x"}}), R"({"tool_calls": "x"})");
}

TEST(Conversations, WhatIsNoConversationIsRefusedByName) {
  const auto subject = ChatTemplate::parse("x", {});
  const auto refused = [&](const Conversation& conversation) {
    return std::string(subject->render(conversation).status().message());
  };
  Conversation conversation;
  EXPECT_EQ(refused(conversation), "messages must be a list with at least one message");
  conversation.messages = {"hello"};
  EXPECT_EQ(refused(conversation), "messages[0] must be an object");
  conversation = hello();
  conversation.tools = {"x"};
  EXPECT_EQ(refused(conversation), "tools[0] must be an object");
  conversation = hello();
  conversation.documents = {{"a", 1}};
  EXPECT_EQ(refused(conversation), "documents must be a list of objects");
  conversation = hello();
  conversation.extra = {1};
  EXPECT_EQ(refused(conversation), "chat_template_kwargs must be an object");
}

}  // namespace
}  // namespace shoal::model::chat
