// SPDX-License-Identifier: Apache-2.0
// A template as tokens: what is text, what is a tag, and which blanks around tags go.
#include <gtest/gtest.h>

#include <string>

#include "model/chat/lexer.h"

namespace shoal::model::chat {
namespace {

// "[text]" for text, words and signs of tags as they are.
std::string shown(std::string_view source) {
  std::string result;
  for (const Token& token : tokens_of(source)) {
    switch (token.kind) {
      case Token::Kind::kData:
        result += "[" + token.text + "]";
        break;
      case Token::Kind::kString:
        result += "'" + token.text + "' ";
        break;
      case Token::Kind::kBlockBegin:
        result += "<% ";
        break;
      case Token::Kind::kBlockEnd:
        result += "%>";
        break;
      case Token::Kind::kVariableBegin:
        result += "<< ";
        break;
      case Token::Kind::kVariableEnd:
        result += ">>";
        break;
      case Token::Kind::kEnd:
        break;
      default:
        result += token.text + " ";
    }
  }
  return result;
}

TEST(ChatLexer, TellsTextFromTags) {
  EXPECT_EQ(shown("a{{ b.c['d'] }}e{% if x == 1 %}f"),
            "[a]<< b . c [ 'd' ] >>[e]<% if x == 1 %>[f]");
  EXPECT_EQ(shown("{ a } {x} % #"), "[{ a } {x} % #]");
  EXPECT_EQ(shown("{{ {'a': {}} }}"), "<< { 'a' : { } } >>");
}

TEST(ChatLexer, DropsTheNewlineBehindABlockAndBlanksBeforeIt) {
  EXPECT_EQ(shown("a\n  {% x %}\n  b"), "[a\n]<% x %>[  b]");
  EXPECT_EQ(shown("a  {% x %}  \nb"), "[a  ]<% x %>[  \nb]");
  EXPECT_EQ(shown("  {{ x }}\nb"), "[  ]<< x >>[\nb]");
  EXPECT_EQ(shown("  {# c #}\nb"), "[b]");
}

TEST(ChatLexer, SignsSayOtherwise) {
  EXPECT_EQ(shown("a \n {%- x -%} \n b"), "[a]<% x %>[b]");
  EXPECT_EQ(shown("  {%+ x +%}\nb"), "[  ]<% x %>[\nb]");
  EXPECT_EQ(shown("a {{- x -}} b"), "[a]<< x >>[b]");
  EXPECT_EQ(shown("a {#- c -#} b"), "[a][b]");
}

TEST(ChatLexer, RawIsText) {
  EXPECT_EQ(shown("{% raw %}{{ x }}{% y %}{% endraw %}z"), "[{{ x }}{% y %}][z]");
}

TEST(ChatLexer, NewlinesArePlainAndTheLastGoes) { EXPECT_EQ(shown("a\r\nb\rc\n"), "[a\nb\nc]"); }

TEST(ChatLexer, ReadsNumbersAndStrings) {
  const std::vector<Token> tokens = tokens_of("{{ 0x1f 1_000 2.5e-1 'a\\n\\u00fc' }}");
  EXPECT_EQ(tokens[1].integer, 31);
  EXPECT_EQ(tokens[2].integer, 1000);
  EXPECT_EQ(tokens[3].number, 0.25);
  EXPECT_EQ(tokens[4].text, "a\nü");
}

TEST(ChatLexer, KnowsLinesAndColumnsInCharacters) {
  const std::vector<Token> tokens = tokens_of("ü\nüü {{ x }}");
  EXPECT_EQ(tokens[2].text, "x");
  EXPECT_EQ(tokens[2].place.line, 2);
  EXPECT_EQ(tokens[2].place.column, 7);
}

TEST(ChatLexer, RefusesWhatIsOpen) {
  for (const char* source : {"{{ x", "{% x", "{# x", "{% raw %}x", "{{ 'x }}", "{{ (] }}",
                             "{{ ) }}", "{{ ! }}", "{{ '\\x1' }}", "{{ 99999999999999999999 }}"}) {
    EXPECT_THROW(tokens_of(source), TemplateError) << source;
  }
}

}  // namespace
}  // namespace shoal::model::chat
