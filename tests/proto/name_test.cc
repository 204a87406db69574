// SPDX-License-Identifier: Apache-2.0
#include "proto/name.h"

#include <gtest/gtest.h>

#include <random>

namespace shoal::proto {
namespace {

TEST(NameTest, AcceptsTextOfAllScripts) {
  for (const char* text : {"", "alice", "Grüße", "名前", "имя", "🐟🐠"}) {
    EXPECT_TRUE(is_clean_name(text)) << text;
    EXPECT_EQ(clean_name(text, 64), text);
  }
}

TEST(NameTest, ReplacesControlCharactersAndBrokenUtf8) {
  EXPECT_EQ(clean_name("a\nb\x1b[2J\x7f", 64), "a?b?[2J?");
  EXPECT_EQ(clean_name("\xff\xc0\xaf x \xe2\x82", 64),
            "??? x ??");  // broken, overlong, cut off
  EXPECT_EQ(clean_name("\xed\xa0\x80 \xf4\x90\x80\x80", 64),
            "??? ????");  // surrogate, beyond the last
  EXPECT_EQ(clean_name("\xe2\x80\xae"
                       "evil \xc2\x85",
                       64),
            "???evil ??");  // turns direction, C1
}

TEST(NameTest, CutsBetweenCharacters) {
  EXPECT_EQ(clean_name("äöü", 5), "äö");
  EXPECT_EQ(clean_name("🐟", 3), "");
}

TEST(NameTest, CleaningAnyBytesGivesACleanName) {
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string cleaned = clean_name(text, 32);
    EXPECT_TRUE(is_clean_name(cleaned));
    EXPECT_LE(cleaned.size(), 32u);
    EXPECT_EQ(clean_name(cleaned, 32), cleaned);
  }
}

}  // namespace
}  // namespace shoal::proto
