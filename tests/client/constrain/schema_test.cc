// SPDX-License-Identifier: Apache-2.0
// JSON and JSON Schema: what may be written under a schema, and which schemas are refused.
#include "client/constrain/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/client/constrain/schema_value.h"
#include "tests/client/constrain/texts.h"
#include "tests/support/temp_dir.h"

namespace shoal::client::constrain {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json read_fixture() {
  return json::parse(
      tests::read_file(std::string(SHOAL_SOURCE_DIR) + "/tests/fixtures/constraints.json"));
}

TEST(ConstraintFixtures, PatternsMatchWhatTheReferenceMatches) {
  std::size_t count = 0;
  const json fixture = read_fixture();
  for (const json& one : fixture["patterns"]) {
    Texts texts(RegexForm{one[0]});
    for (const std::string text : one[1]) {
      EXPECT_TRUE(texts.allow(text)) << one[0] << " and '" << text << "'";
    }
    for (const std::string text : one[2]) {
      EXPECT_FALSE(texts.allow(text)) << one[0] << " and '" << text << "'";
    }
    ++count;
  }
  EXPECT_EQ(count, 200u);
}

TEST(ConstraintFixtures, SchemasAllowTheirValuesAndNoOthers) {
  base::Random random(11);
  std::size_t count = 0;
  const auto fixture = nlohmann::ordered_json::parse(
      tests::read_file(std::string(SHOAL_SOURCE_DIR) + "/tests/fixtures/constraints.json"));
  for (const auto& one : fixture["schemas"]) {
    Texts texts(JsonForm{one[0]});
    for (const std::string text : one[1]) {
      EXPECT_TRUE(texts.allow(text)) << one[0] << " and " << text;
      EXPECT_TRUE(texts.end_with(text) || json::parse(text).is_number()) << one[0] << " " << text;
    }
    for (const std::string text : one[2]) {
      EXPECT_FALSE(texts.allow(text)) << one[0] << " and " << text;
    }
    const json schema = json::parse(one[0].dump());
    // By chance no pattern is ever met.
    const bool drawn = one[0].dump().find("\"pattern\"") == std::string::npos;
    for (int i = 0; drawn && i < 6; ++i) {
      const std::string text = texts.draw(random, 60);
      ASSERT_TRUE(json::accept(text)) << schema << " made " << text;
      EXPECT_TRUE(tests::satisfies(json::parse(text), schema, schema))
          << schema << " made " << text;
    }
    ++count;
  }
  EXPECT_EQ(count, 300u);
}

TEST(ConstraintJson, IsThatOfRfc8259WithLittleSpace) {
  Texts texts(schema_form("{}"));
  for (const char* text :
       {"null", "true", "false", "0", "-1", "10.25", "1e5", "1E-05", "-0.5e+2", "\"\"", "[]", "{}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u00e9\\uD83D\\uDE00\"",
        "\"\xC3\xA9\xF0\x9F\x98\x80\"", "[1, 2,3]", "{\"a\":1, \"b\": [true]}",
        "{\n  \"a\": {\n    \"b\": null\n  }\n}", "[\n1\n]"}) {
    EXPECT_TRUE(texts.allow(text)) << text;
    EXPECT_TRUE(json::accept(text)) << text;
  }
  for (const char* text : {"",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "1e",
                           "NaN",
                           "nul",
                           "'a'",
                           "\"\\x\"",
                           "\"\n\"",
                           "\"\\uD83D\"",
                           "\"\\uDE00\"",
                           "\"\\uD83D\\u0041\"",
                           "\"\xC3\"",
                           "\"\xC3(\"",
                           "\"\xED\xA0\x80\"",
                           "[1,]",
                           "[,1]",
                           "{\"a\"}",
                           "{a:1}",
                           "{\"a\":1,}",
                           "[1,  2]",
                           "{ }",
                           " 1",
                           "1 ",
                           "[1\t]",
                           "{\"a\" :1}",
                           "1e999",
                           "1234567890123456789"}) {
    EXPECT_FALSE(texts.allow(text)) << text;
  }
}

TEST(ConstraintJson, NestsAsDeepAsCanBeSentInAgain) {
  Texts texts(schema_form("{}"));
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(texts.allow(nested(40)));
  EXPECT_FALSE(texts.may_begin(std::string(64, '[')));
  // What is too deep is not begun, rather than never ended.
  Texts list(schema_form(R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"object","required":["v"],
      "properties":{"v":{"type":"integer"},"next":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/n"}]}}}}})"));
  EXPECT_TRUE(list.allow(R"({"v":1,"next":{"v":2,"next":null}})"));
  EXPECT_TRUE(list.allow(R"({"v":1})"));
  base::Random random(5);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(json::accept(list.draw(random, 50'000)));
}

struct SchemaCase {
  const char* schema;
  std::vector<std::string> allowed, refused;
};

TEST(ConstraintSchema, EachKeyword) {
  const std::vector<SchemaCase> cases = {
      {R"(true)", {"1", "{}"}, {"x"}},
      {R"({"type":"object"})", {"{}", R"({"a":{"b":[1]}})"}, {"[]", "1"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"}}})",
       {"{}", R"({"a":1})", R"({"b":null})", R"({"a":1,"b":null})", R"({"a":1, "b": null})"},
       {R"({"b":null,"a":1})", R"({"c":1})", R"({"a":"1"})", R"({"a":1,"a":1})"}},
      {R"({"properties":{"a":{"type":"integer"}},"required":["a","z"]})",
       {R"({"a":1,"z":[]})"},
       {R"({"a":1})", "{}", R"({"z":1})"}},
      {R"({"type":"object","properties":{"ab":{"type":"null"}},"additionalProperties":{"type":"boolean"}})",
       {"{}", R"({"ab":null,"x":true,"a":false,"abc":true})", R"({"":true})"},
       {R"({"ab":true})", R"({"x":1})", R"({"x":true,"ab":true})"}},
      {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2})",
       {"[1]", "[1,2]", "[1, 2]"},
       {"[]", "[1,2,3]", "[\"a\"]"}},
      {R"({"type":"array","prefixItems":[{"type":"null"}],"items":{"type":"integer"}})",
       {"[]", "[null]", "[null,1,2]"},
       {"[1]", "[null,null]"}},
      {R"({"items":false,"type":"array"})", {"[]"}, {"[1]"}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("a\n")", "\"\xC3\xA9\xF0\x9F\x98\x80x\"", R"("\uD83D\uDE00a")"},
       {R"("a")", R"("abcd")", R"("\uD83D\uDE00")"}},
      {R"({"type":"string","pattern":"^\\d{3}$"})", {R"("123")"}, {R"("12")", R"("1234")"}},
      {R"({"type":"string","pattern":"b+"})", {R"("b")", R"("abbc")"}, {R"("ac")"}},
      {R"({"type":"string","pattern":"^[\"\\\\\\n\\x01]+$"})",
       {R"("\"\\\n\u0001")"},
       {R"("a")", "\"\n\""}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-02-29")", R"("2023-12-31")"},
       {R"("2023-02-29")", R"("2024-13-01")", R"("2024-04-31")", R"("24-1-1")"}},
      {R"({"type":"string","format":"date-time"})",
       {R"("2024-01-31T23:59:59Z")", R"("2024-01-01T00:00:00.5+02:00")"},
       {R"("2024-01-01")", R"("2024-01-01T24:00:00Z")"}},
      {R"({"type":"string","format":"time"})", {R"("12:30:00Z")"}, {R"("12:30")"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("123e4567-e89b-12d3-a456-426614174000")"},
       {R"("123e4567e89b12d3a456426614174000")"}},
      {R"({"type":"string","format":"email"})", {R"("a.b@example.org")"}, {R"("a@")", R"("a")"}},
      {R"({"type":"string","format":"ipv4"})",
       {R"("127.0.0.1")", R"("255.255.255.255")"},
       {R"("256.0.0.1")", R"("1.2.3")", R"("01.2.3.4")"}},
      {R"({"type":"integer"})", {"0", "-5", "123"}, {"1.5", "01", "1e3", "\"1\""}},
      {R"({"type":"integer","minimum":-12,"maximum":105})",
       {"-12", "-1", "0", "9", "99", "100", "105"},
       {"-13", "-20", "106", "110", "1000"}},
      {R"({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10})",
       {"1", "9"},
       {"0", "10", "-1"}},
      {R"({"type":"integer","minimum":0.5,"maximum":2.5})", {"1", "2"}, {"0", "3"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "1", "0.5", "0.999999", "1.000"},
       {"1.1", "-0.1", "2", "1.0000001"}},
      {R"({"type":"number","exclusiveMinimum":-1.5,"exclusiveMaximum":2.25})",
       {"-1.4", "-1.49999", "0", "-0.5", "2.2499", "2"},
       {"-1.5", "-1.50", "2.25", "2.3", "-2"}},
      {R"({"type":"number","maximum":-0.001})", {"-0.001", "-5", "-0.0011"}, {"0", "-0.0009"}},
      {R"({"type":"number","minimum":1e-7})", {"0.0000001", "1"}, {"0", "0.00000001"}},
      {R"({"enum":["a",1,null,{"x":[1]}]})",
       {R"("a")", "1", "null", R"({"x":[1]})"},
       {"2", R"("b")"}},
      {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
      {R"({"const":"x"})", {R"("x")"}, {R"("y")"}},
      {R"({"type":["integer","null"]})", {"1", "null"}, {"true"}},
      {R"({"type":"integer","nullable":true})", {"1", "null"}, {"true"}},
      {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]})",
       {"1", R"("a")"},
       {R"("ab")", "null"}},
      {R"({"oneOf":[{"const":1},{"const":2}]})", {"1", "2"}, {"3"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"}},"anyOf":[{"required":["a"]}]})",
       {R"({"a":1})"},
       {"{}"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":3}}},
                    {"properties":{"a":{"maximum":4},"b":{"type":"null"}},"required":["a"]}]})",
       {R"({"a":3})", R"({"a":4,"b":null})"},
       {R"({"a":5})", "{}"}},
      {R"({"type":"number","allOf":[{"type":"integer"}]})", {"1"}, {"1.5"}},
      {R"({"$ref":"#/definitions/a%","definitions":{"a%":{"const":1}}})", {"1"}, {"2"}},
      {R"({"$defs":{"a/b":{"type":"integer"}},"properties":{"x":{"$ref":"#/$defs/a~1b","description":"d"}},
           "required":["x"]})",
       {R"({"x":5})"},
       {R"({"x":"5"})"}},
      {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
      {R"({"$ref":"#/$defs/a","maximum":5,"$defs":{"a":{"type":"integer","minimum":4}}})",
       {"4", "5"},
       {"3", "6"}},
  };
  for (const SchemaCase& one : cases) {
    Texts texts(schema_form(one.schema));
    for (const std::string& text : one.allowed) {
      EXPECT_TRUE(texts.allow(text)) << one.schema << " and " << text;
    }
    for (const std::string& text : one.refused) {
      EXPECT_FALSE(texts.allow(text)) << one.schema << " and " << text;
    }
  }
}

TEST(ConstraintSchema, WhatIsNotSupportedIsNamed) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"not":{}})", "\"not\""},
      {R"({"properties":{"a":{"if":{}}}})", "at the schema/properties/a: the keyword \"if\""},
      {R"({"patternProperties":{}})", "patternProperties"},
      {R"({"type":"array","uniqueItems":true})", "uniqueItems"},
      {R"({"type":"object","minProperties":1})", "minProperties"},
      {R"({"type":"integer","multipleOf":2})", "multipleOf"},
      {R"({"type":"string","format":"idn-email"})", "idn-email"},
      {R"({"type":"string","pattern":"("})", "pattern"},
      {R"({"type":"string","pattern":"a","maxLength":3})", "only one"},
      {R"({"type":"text"})", "\"text\""},
      {R"({"type":"array","items":[{}]})", "prefixItems"},
      {R"({"$ref":"other.json"})", "other.json"},
      {R"({"$ref":"#/$defs/x"})", "leads nowhere"},
      {R"({"$ref":"#"})", "back to itself"},
      {R"({"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})",
       "back to itself"},
      {R"({"enum":[1],"minimum":0})", "\"minimum\" beside enum"},
      {R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})", "\"pattern\" in several"},
      {R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]})",
       "additionalProperties"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "nothing satisfies"},
      {R"({"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}})",
       "nothing satisfies"},
      {R"(false)", "nothing satisfies"},
      {R"({"enum":[]})", "nothing satisfies"},
      {R"({"type":"object","required":["a"],"additionalProperties":false})", "nothing satisfies"},
      {R"({"type":"string","minLength":-1})", "minLength"},
      {R"(5)", "must be an object"},
  };
  for (const auto& [schema, part] : cases) {
    EXPECT_THAT(error_of({schema_form(schema)}), HasSubstr(part)) << schema;
  }
}

TEST(ConstraintSchema, AHostileOneIsRefusedSoon) {
  // Each level doubles what allOf puts together.
  nlohmann::ordered_json defs;
  for (int i = 0; i < 25; ++i) {
    const nlohmann::ordered_json next = {{"$ref", "#/$defs/d" + std::to_string(i + 1)}};
    defs["d" + std::to_string(i)] = {{"allOf", {next, next}}};
  }
  defs["d25"] = {{"type", "object"}};
  EXPECT_THAT(error_of({JsonForm{{{"$ref", "#/$defs/d0"}, {"$defs", defs}}}}),
              HasSubstr("too large"));
  EXPECT_THAT(error_of({schema_form(R"({"type":"string","maxLength":1000000000})")}),
              HasSubstr("too large"));
  EXPECT_THAT(error_of({schema_form(R"({"type":"array","minItems":100000000})")}),
              HasSubstr("too large"));
  EXPECT_THAT(error_of({JsonForm{{{"enum", {std::string(300'000, 'a')}}}}}), HasSubstr("KiB"));
  nlohmann::ordered_json deep = {{"type", "integer"}};
  for (int i = 0; i < 100; ++i) deep = {{"properties", {{"a", deep}}}};
  EXPECT_THAT(error_of({JsonForm{deep}}), HasSubstr("nest deeper"));
  nlohmann::ordered_json itself = {{"allOf", {{{"$ref", "#"}}, {{"type", "object"}}}}};
  EXPECT_THAT(error_of({JsonForm{itself}}), HasSubstr("nest too deep"));
}

}  // namespace
}  // namespace shoal::client::constrain
