// SPDX-License-Identifier: Apache-2.0
// Oniguruma's patterns on PCRE2: what counts as white space, letters of newer Unicode versions,
// Ruby's quantifiers, and time that does not explode.
#include "model/tokenizer/regex.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"
#include "tests/model/tokenizer_fixture.h"

namespace shoal::model {
namespace {

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  const auto regex = Regex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status();
  std::vector<Range> ranges;
  const absl::Status status = regex->find_all(text, &ranges);
  EXPECT_TRUE(status.ok()) << status;
  std::vector<std::string> found;
  for (const auto& [begin, end] : ranges) found.push_back(text.substr(begin, end - begin));
  return found;
}

using Strings = std::vector<std::string>;

TEST(TokenizerRegex, WhiteSpaceIsUnicodesNothingElse) {
  // U+180E was white space once and PCRE2 still thinks so; U+200B and U+FEFF never were; U+0085 and
  // U+001F tell engines apart.
  EXPECT_EQ(matches("\\s", "\u180e\u200b\ufeff\x1f\x1c"), Strings());
  EXPECT_EQ(matches("\\s", "\u0085\u00a0\u1680\u2028\u3000\x0b"),
            Strings({"\u0085", "\u00a0", "\u1680", "\u2028", "\u3000", "\x0b"}));
  EXPECT_EQ(matches("[^\\s]+", "a\u180eb\u00a0c"), Strings({"a\u180eb", "c"}));
  EXPECT_EQ(matches("[^\\S]+", "a \u2003b"), Strings({" \u2003"}));
  EXPECT_EQ(matches("\\S+", "a b"), Strings({"a", "b"}));
}

TEST(TokenizerRegex, LettersOfUnicode16AreLetters) {
  EXPECT_EQ(matches("\\p{L}+", "a\U00010d50\U0001e5f0b"), Strings({"a\U00010d50\U0001e5f0b"}));
  EXPECT_EQ(matches("\\p{Lu}", "\U00010d50\U00010d70"), Strings({"\U00010d50"}));
  EXPECT_EQ(matches("[^\\p{L}\\p{N}]+", "\U00010d50!\U00016d70"), Strings({"!"}));
  EXPECT_EQ(matches("\\P{L}+", "1\U00010d50-"), Strings({"1", "-"}));
  EXPECT_EQ(matches("\\d", "7\U00016d70"), Strings({"7", "\U00016d70"}));
}

TEST(TokenizerRegex, QuantifiersAreRubys) {
  EXPECT_EQ(matches("a{1,2}+", "aaaaa"), Strings({"aaaaa"}));  // repeated, not possessive
  EXPECT_EQ(matches("(?:ab){1,2}+c", "ababababc"), Strings({"ababababc"}));
  EXPECT_EQ(matches("a?+a", "a"), Strings());  // possessive in both
  EXPECT_EQ(matches("a{2,3}?", "aaaa"), Strings({"aa", "aa"}));
  EXPECT_EQ(matches("x$", "x\nx"), Strings({"x", "x"}));  // $ is the end of a line
  EXPECT_EQ(matches("a|", "ba"), Strings({"", "a"}));
}

TEST(TokenizerRegex, CaseFoldsAcrossTheAlphabet) {
  EXPECT_EQ(matches("(?i:'s|'ll)", "'s'S'\u017f'Ll"), Strings({"'s", "'S", "'\u017f", "'Ll"}));
}

TEST(TokenizerRegex, ClassesKeepTheirDashes) {
  EXPECT_EQ(matches("[a-c-]+", "ab-cd"), Strings({"ab-c"}));
  EXPECT_EQ(matches("[-x]", "-xy"), Strings({"-", "x"}));
  EXPECT_EQ(matches("[\\s-]", "- x"), Strings({"-", " "}));
  EXPECT_EQ(matches("[^-x]", "-xy"), Strings({"y"}));
  EXPECT_EQ(matches("[*+.(){}|^$]+", "a*+.(){}|^$b"), Strings({"*+.(){}|^$"}));
}

TEST(TokenizerRegex, TrailingBlanksAreFoundOncePerRun) {
  EXPECT_EQ(matches("\\s+$", "a  \n  b \n\n c  "), Strings({"  ", " \n", "  "}));
  EXPECT_EQ(matches("\\s+$", repeated(" ", 1 << 20) + "x"), Strings());
}

TEST(TokenizerRegex, RunawayPatternsEndInAnError) {
  const auto regex = Regex::compile("(?:a+)+[bc]");
  ASSERT_TRUE(regex.ok()) << regex.status();
  std::vector<Range> ranges;
  const absl::Status status = regex->find_all(repeated("a", 64), &ranges);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("pattern"), std::string::npos);
}

// Single-character classes of the scanner and of the added tokens, against samples of each kind.
TEST(TokenizerUnicode, Properties) {
  for (const char32_t word :
       {U'a', U'é', U'_', U'7', U'\u0301', U'\u200d', U'Ⅷ', U'Ⓐ', U'漢', U'\U00010d50'}) {
    EXPECT_TRUE(is_word(word)) << static_cast<std::uint32_t>(word);
  }
  for (const char32_t other : {U' ', U'-', U'½', U'²', U'€', U'😀', U'\u00a0', U'\0'}) {
    EXPECT_FALSE(is_word(other)) << static_cast<std::uint32_t>(other);
  }
  EXPECT_TRUE(is_number(U'½'));
  EXPECT_TRUE(is_number(U'٣'));
  EXPECT_FALSE(is_number(U'x'));
}

TEST(TokenizerUtf8, BrokenBytesBecomeOneReplacementPerMaximalPart) {
  const auto lossy = [](const std::string& bytes) {
    std::string at_once;
    LossyUtf8 all;
    all.push(bytes, &at_once);
    all.finish(&at_once);
    std::string one_by_one;
    LossyUtf8 slow;
    for (const char c : bytes) slow.push(std::string(1, c), &one_by_one);
    slow.finish(&one_by_one);
    EXPECT_EQ(at_once, one_by_one);
    return at_once;
  };
  EXPECT_EQ(lossy("a\xF0\x9F\x98\x80z"), "a😀z");
  EXPECT_EQ(lossy("\xF0\x9F\x98z"), "\uFFFDz");  // one for the three bytes of a character cut short
  EXPECT_EQ(lossy("\xE2\x82"), "\uFFFD");        // at the end too
  EXPECT_EQ(lossy("\xC0\x80"), "\uFFFD\uFFFD");  // overlong: no part of it begins a character
  EXPECT_EQ(lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(lossy("\xF0\x9F\xF0\x9F\x98\x80"), "\uFFFD😀");
  EXPECT_EQ(lossy("\x80\xBF\xFE"), "\uFFFD\uFFFD\uFFFD");
}

}  // namespace
}  // namespace shoal::model
