// SPDX-License-Identifier: Apache-2.0
// Regular expressions: what they match, and how they are refused.
#include "client/constrain/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/constrain/texts.h"

namespace shoal::client::constrain {
namespace {

using ::testing::HasSubstr;

struct Case {
  const char* pattern;
  std::vector<std::string> allowed, refused;
};

TEST(ConstraintRegex, MatchesTheWholeText) {
  const std::vector<Case> cases = {
      {"", {""}, {"a"}},
      {"abc", {"abc"}, {"ab", "abcd", "xabc"}},
      {"^abc$", {"abc"}, {"^abc$"}},
      {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
      {"(a|b)c", {"ac", "bc"}, {"c", "abc"}},
      {"(?:ab)+", {"ab", "abab"}, {"", "aba"}},
      {"(?P<x>a)(?<y>b)", {"ab"}, {"a"}},
      {"a?b*c+", {"c", "abbbcc", "bc"}, {"ab", "aac"}},
      {"a*?b", {"b", "aab"}, {"a"}},
      {"a{3}", {"aaa"}, {"aa", "aaaa"}},
      {"a{2,}", {"aa", "aaaaa"}, {"a"}},
      {"a{1,3}", {"a", "aaa"}, {"", "aaaa"}},
      {"a{,3}", {"a{,3}"}, {"aa"}},
      {"{x}", {"{x}"}, {"x"}},
      {"a{0}b", {"b"}, {"ab"}},
      {".", {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}, {"", "\n", "\xC3", "\xE2\x82"}},
      {"\\d+\\.\\d{2}", {"3.14", "12.00"}, {"3.1", ".14"}},
      {"\\w\\W\\s\\S\\D", {"a! x-"}, {"!a x-", "a! x1"}},
      {"[a-c]", {"a", "c"}, {"d", "-"}},
      {"[^a-c]", {"d", "\xC3\xA9", "\n"}, {"a", ""}},
      {"[]a]", {"]", "a"}, {"b"}},
      {"[a-]", {"a", "-"}, {"b"}},
      {"[\\d\\-x]", {"5", "-", "x"}, {"d"}},
      {"[\\x41-\\x43\\u00e9\\x{1F600}]", {"A", "C", "\xC3\xA9", "\xF0\x9F\x98\x80"}, {"D"}},
      {"[[:alpha:][:digit:]]", {"a", "Z", "7"}, {"-", ":"}},
      {"[\xCE\xB1-\xCF\x89]+", {"\xCE\xB1\xCF\x80\xCF\x89"}, {"a", "\xCE"}},
      {"[\xE4\xB8\x80-\xE9\xBE\xA5]", {"\xE6\x97\xA5"}, {"\xE3\x81\x82", "\xE6\x97"}},
      {"\\n\\t\\r\\f\\v\\\\\\.\\$\\^", {"\n\t\r\f\v\\.$^"}, {"n"}},
      {"(a|b)*abb", {"abb", "aabb", "babaabb"}, {"ab", "abba"}},
      {"((a*)*)*b", {"b", "aaab"}, {"a"}},
      {"(a?){4}a{4}", {"aaaa", "aaaaaaaa"}, {"aaa", "aaaaaaaaa"}},
      {"^a|b$", {"a", "b"}, {"ab"}},
      {"()", {""}, {"a"}},
  };
  for (const Case& one : cases) {
    Texts texts(RegexForm{one.pattern});
    for (const std::string& text : one.allowed) {
      EXPECT_TRUE(texts.allow(text)) << one.pattern << " and " << text;
    }
    for (const std::string& text : one.refused) {
      EXPECT_FALSE(texts.allow(text)) << one.pattern << " and " << text;
    }
  }
}

TEST(ConstraintRegex, AWrongOneIsToldByItsPlace) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"ab(c", "character 5"},
      {"a)b", "character 2"},
      {"*a", "character 1"},
      {"a**", "character 4"},
      {"[a", "character 3"},
      {"[b-a]", "wrong way round"},
      {"a{3,2}", "wrong way"},
      {"a{99999}", "above"},
      {"(?=a)", "looking ahead"},
      {"(?<!a)b", "behind"},
      {"(?i)a", "flags"},
      {"\\1", "\\1 is not supported"},
      {"\\bx", "\\b is not"},
      {"\\pL", "\\p is not"},
      {"a$b", "\\$"},
      {"a(^b)", "\\^"},
      {"\\", "at the end"},
      {"\\uD800", "no character"},
      {"a++", "possessive"},
      {"\\x{110000}", "no character"},
  };
  for (const auto& [pattern, part] : cases) {
    EXPECT_THAT(error_of({RegexForm{pattern}}), HasSubstr(part)) << pattern;
  }
}

TEST(ConstraintRegex, AHugeOneIsRefusedSoon) {
  EXPECT_THAT(error_of({RegexForm{"((a{1000}){1000}){1000}"}}), HasSubstr("too large"));
  EXPECT_THAT(error_of({RegexForm{"((){9999}){9999}"}}), HasSubstr("too large"));
  EXPECT_THAT(error_of({RegexForm{std::string(100, '(') + "a" + std::string(100, ')')}}),
              HasSubstr("nest too deep"));
  EXPECT_THAT(error_of({RegexForm{std::string(9000, 'a')}}), HasSubstr("9000 bytes"));
  EXPECT_EQ(error_of({RegexForm{".{0,2000}"}}), "");
}

TEST(ConstraintRegex, ItEndsWhereNothingCanFollow) {
  Texts texts(RegexForm{"ab?"});
  EXPECT_FALSE(texts.end_with("a"));
  EXPECT_TRUE(texts.end_with("ab"));
  EXPECT_TRUE(Texts(ChoiceForm{{"yes", "no"}}).end_with("no"));
  Texts choice(ChoiceForm{{"a", "ab", "b\xC3\xA9"}});
  EXPECT_TRUE(choice.allow("a") && choice.allow("ab") && choice.allow("b\xC3\xA9"));
  EXPECT_FALSE(choice.end_with("a") || choice.allow("b") || choice.may_begin("c"));
}

}  // namespace
}  // namespace shoal::client::constrain
