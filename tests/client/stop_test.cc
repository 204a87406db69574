// SPDX-License-Identifier: Apache-2.0
#include "client/text/stop.h"

#include <gtest/gtest.h>

namespace shoal::client {
namespace {

struct Shown {
  std::string text;
  bool stopped;
};

Shown show(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopText stop(std::move(stops));
  Shown shown;
  for (const std::string& piece : pieces) shown.text += stop.push(piece);
  shown.text += stop.finish();
  shown.stopped = stop.stopped();
  return shown;
}

TEST(StopText, WithoutStopStringsEverythingPassesAtOnce) {
  StopText stop({});
  EXPECT_EQ(stop.push("abc"), "abc");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopText, CutsBeforeTheStopStringAndDropsTheRest) {
  const Shown shown = show({"END"}, {"one END two", "three"});
  EXPECT_EQ(shown.text, "one ");
  EXPECT_TRUE(shown.stopped);
}

TEST(StopText, FindsAStopStringSplitOverPieces) {
  StopText stop({"\n\nQ:"});
  EXPECT_EQ(stop.push("answer\n"), "answer");
  EXPECT_EQ(stop.push("\nQ"), "");
  EXPECT_EQ(stop.push(": x"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopText, GivesBackWhatOnlyLookedLikeAStop) {
  StopText stop({"aab"});
  EXPECT_EQ(stop.push("aa"), "");
  EXPECT_EQ(stop.push("a"), "a");  // "aa" may still become "aab"
  EXPECT_EQ(stop.push("c"), "aac");
  EXPECT_FALSE(stop.stopped());
}

TEST(StopText, WhatIsHeldBackComesAtTheEnd) {
  const Shown shown = show({"stop"}, {"non", "st", "o"});
  EXPECT_EQ(shown.text, "nonsto");
  EXPECT_FALSE(shown.stopped);
}

TEST(StopText, TheFirstOfSeveralCounts) {
  EXPECT_EQ(show({"xyz", "b"}, {"aby", "xyz"}).text, "a");
  EXPECT_EQ(show({"b", "ab"}, {"cab"}).text, "c");
}

TEST(StopText, NeverCutsInsideACharacter) {
  StopText stop({"é!"});
  EXPECT_EQ(stop.push("caf"), "caf");
  EXPECT_EQ(stop.push("é"), "");
  EXPECT_EQ(stop.push("è"), "éè");
}

TEST(StopText, EverySplitOfATextShowsTheSame) {
  const std::string text = "ababac abacus ababacus";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    for (std::size_t second = cut; second <= text.size(); ++second) {
      const Shown shown =
          show({"abacus", "xx"},
               {text.substr(0, cut), text.substr(cut, second - cut), text.substr(second)});
      ASSERT_EQ(shown.text, "ababac ");
    }
  }
}

TEST(StopText, SaysWhichOfTheStopsItWas) {
  StopText stop({"two", "one"});
  EXPECT_EQ(stop.matched(), "");
  stop.push("zero one two");
  EXPECT_EQ(stop.matched(), "one");  // the first in the text
}

}  // namespace
}  // namespace shoal::client
