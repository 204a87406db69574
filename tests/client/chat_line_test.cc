// SPDX-License-Identifier: Apache-2.0
// What is something to say, and what is a command.
#include "client/chat/chat_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::client {
namespace {

using ::testing::HasSubstr;
using Line = ChatLine::Kind;

ChatLine line(Line kind, const std::string& text = "", const std::string& value = "") {
  return {kind, text, value};
}

TEST(ChatLineTest, WhatIsNoCommandIsSaid) {
  EXPECT_EQ(read_chat_line("  hello there \n"), line(Line::kSay, "hello there"));
  EXPECT_EQ(read_chat_line(""), line(Line::kNothing));
  EXPECT_EQ(read_chat_line(" \t\r\n"), line(Line::kNothing));
  EXPECT_EQ(read_chat_line("1/2 of /reset"), line(Line::kSay, "1/2 of /reset"));
  EXPECT_EQ(read_chat_line("/etc/passwd is what?"), line(Line::kSay, "/etc/passwd is what?"));
}

TEST(ChatLineTest, Commands) {
  EXPECT_EQ(read_chat_line("/reset"), line(Line::kReset));
  EXPECT_EQ(read_chat_line("/clear "), line(Line::kReset));
  EXPECT_EQ(read_chat_line("/system You are  brief. "), line(Line::kSystem, "You are  brief."));
  EXPECT_EQ(read_chat_line("/system"), line(Line::kSystem));
  EXPECT_EQ(read_chat_line("/save a b.json"), line(Line::kSave, "a b.json"));
  EXPECT_EQ(read_chat_line("/load x"), line(Line::kLoad, "x"));
  EXPECT_EQ(read_chat_line("/set"), line(Line::kShow));
  EXPECT_EQ(read_chat_line("/set temperature  0.7"), line(Line::kSet, "temperature", "0.7"));
  EXPECT_EQ(read_chat_line("/regenerate"), line(Line::kRegenerate));
  EXPECT_EQ(read_chat_line("/stats"), line(Line::kStats));
  for (const char* word : {"/quit", "/exit", "/bye"}) {
    EXPECT_EQ(read_chat_line(word), line(Line::kQuit));
  }
  for (const char* word : {"/help", "/?"}) EXPECT_EQ(read_chat_line(word), line(Line::kHelp));
}

TEST(ChatLineTest, MistakesAreNamedWithTheWayOut) {
  const std::pair<const char*, const char*> cases[] = {
      {"/save", "/save needs a FILE"},
      {"/load  ", "/load needs a FILE"},
      {"/reset now", "/reset takes nothing behind it"},
      {"/set temperature", "/set temperature needs a value"},
      {"/regenrate", "did you mean /regenerate?"},
      {"/xyzzy", "/help shows what there is"},
      {"/", "/help"},
  };
  for (const auto& [typed, why] : cases) {
    const ChatLine read = read_chat_line(typed);
    EXPECT_EQ(read.kind, Line::kWrong) << typed;
    EXPECT_THAT(read.text, HasSubstr(why)) << typed;
  }
}

TEST(ChatLineTest, ATextOfSeveralLinesStandsInThreeQuotes) {
  EXPECT_EQ(read_chat_line("\"\"\"all in one\"\"\""), line(Line::kSay, "all in one"));
  const ChatLine opened = read_chat_line("\"\"\"one");
  EXPECT_EQ(opened, line(Line::kOpensQuote, "one\n"));
  std::string text = opened.text;
  EXPECT_FALSE(closes_quote("  two\n", text));
  EXPECT_FALSE(closes_quote("/reset is no command here", text));
  EXPECT_FALSE(closes_quote("", text));
  EXPECT_TRUE(closes_quote("three\"\"\"\n", text));
  EXPECT_EQ(text, "one\n  two\n/reset is no command here\n\nthree");
}

TEST(ChatLineTest, HelpNamesEveryCommandOnce) {
  const std::string help = chat_help();
  for (const char* word :
       {"/reset", "/system", "/regenerate", "/save", "/load", "/stats", "/set", "/help", "/quit"}) {
    EXPECT_THAT(help, HasSubstr(word));
  }
  EXPECT_EQ(std::count(help.begin(), help.end(), '\n'), 11);
}

}  // namespace
}  // namespace shoal::client
