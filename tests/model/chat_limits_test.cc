// SPDX-License-Identifier: Apache-2.0
// A malicious template, or conversation, costs bounded time, memory and stack, and ends in an
// error that says why.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/chat/chat_template.h"
#include "tests/model/chat_fixture.h"

namespace shoal::model::chat {
namespace {

using nlohmann::ordered_json;

absl::Status status_of_rendering(const std::string& source, const RenderLimits& limits = {}) {
  return render_segments(source, ordered_json::object(), limits).status();
}

std::string repeated(const std::string& unit, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += unit;
  return text;
}

// Each of these would take hours, gigabytes or the stack.
TEST(ChatLimits, BombsEndEarly) {
  const std::string loop = "{% for a in range(99999) %}{% for b in range(99999) %}";
  const std::string end = "{% endfor %}{% endfor %}";
  const std::vector<std::string> bombs = {
      loop + end,
      loop + "x" + end,
      loop + "{% set x = a ~ b %}" + end,
      "{% set ns = namespace(x='ab') %}{% for a in range(99999) %}{% set ns.x = ns.x + ns.x %}{% "
      "endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}{% set ns.x = ns.x + ns.x %}{% "
      "endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}{% set ns.x = [ns.x, ns.x] %}{% "
      "endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}{% set ns.x = "
      "[ns.x|select] "
      "%}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}{% set ns.x = [ns.x.count] %}{% "
      "endfor %}",
      "{% set ns = namespace(x={}) %}{% for a in range(99999) %}{% set ns.x = {'k': ns.x} %}{% "
      "endfor %}",
      "{{ 'a' * 9999999999 }}",
      "{{ [1] * 9999999999 }}",
      "{{ [none] * 9999999 * 9999999 }}",
      "{{ 'a'.ljust(9999999999) }}",
      "{{ 'a'|center(9999999999) }}",
      "{{ 'a'|indent(9999999999) }}",
      "{{ 'a'.zfill(9999999999) }}",
      "{{ [1]|batch(9999999999, 0)|list }}",
      "{{ [1]|slice(9999999999)|list }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(x) %}{{ f([x]) }}{% endmacro %}{{ f(1) }}",
      "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall "
      "%}{% endmacro %}{{ g() }}",
      "{% for x in [[]] recursive %}{{ loop([x]) }}{% endfor %}",
      "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
      "{% set ns = namespace(x='a' * 1000000) %}{% for i in range(99999) %}{{ ns.x.replace('a', "
      "'aaaaaaaaaa')|length }}{% endfor %}",
      "{% set x = 'a' * 4000000 %}{% for i in range(99999) %}{{ x.rfind('b' ~ x[:2000000]) }}{% "
      "endfor %}",
      "{% set x = 'a' * 4000000 %}{% for i in range(99999) %}{{ ('b' ~ x[:2000000]) in x }}{% "
      "endfor %}",
      "{% set x = 'ü' * 1000000 %}{% for i in range(99999) %}{{ x[500000] }}{% endfor %}",
      "{% for a in range(99999) %}{{ range(99999)|sort|list|length }}{% endfor %}",
      "{% for a in range(99999) %}{{ range(99999)|map('string')|unique|list|length }}{% endfor %}",
      "{% set ns = namespace(d={}) %}{% for a in range(99999) %}{% set ns.d = dict(ns.d, "
      "**{a|string: a}) %}{% endfor %}",
      "{% for a in range(9999) %}{% set d = {} %}{{ dict(range(99999)|batch(2)) }}{% endfor %}",
  };
  RenderLimits limits;  // smaller than usual: the bombs are many
  limits.steps = 300'000;
  limits.memory_bytes = 16u << 20;
  for (const std::string& bomb : bombs) {
    const absl::Status status = status_of_rendering(bomb, limits);
    EXPECT_FALSE(status.ok()) << bomb;
    EXPECT_NE(status.message().find("line 1"), std::string::npos) << bomb << ": " << status;
  }
}

// With the limits of every day too; the test's own limit is what it must not take.
TEST(ChatLimits, AnEndlessLoopEnds) {
  const absl::Status status = status_of_rendering(
      "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST(ChatLimits, WhatEndsIsNotABomb) {
  EXPECT_EQ(
      render("{% set ns = namespace(x=0) %}{% for a in range(1000) %}{% for b in range(100) %}"
             "{% set ns.x = ns.x + 1 %}{% endfor %}{% endfor %}{{ ns.x }}"),
      "100000");
  EXPECT_EQ(render("{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}"
                   "{{ f(20)|length }}"),
            "32");
}

// What values hold is freed however they hold each other: the address sanitizer looks on.
TEST(ChatLimits, CirclesAndChainsAreFreed) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.x = [ns] %}{% macro m() %}{{ ns.x|length }}"
                   "{% endmacro %}{% set ns.m = m %}{{ ns.m() }}"),
            "1");
  EXPECT_EQ(render("{% set ns = namespace(p=none) %}{% macro link(p) %}{% macro inside() %}"
                   "{{ p is none }}{% endmacro %}{% set ns.p = inside %}{% endmacro %}"
                   "{% for i in range(20000) %}{{ link(ns.p) }}{% endfor %}{{ ns.p() }}"),
            "False");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in [1, 2] if i %}{% set ns.l = loop %}"
                   "{% set me = loop %}{% endfor %}{{ ns.l.index }}{{ ns.l.last }}"),
            "2True");
}

TEST(ChatLimits, EachLimitSaysItsName) {
  RenderLimits limits;
  limits.steps = 100;
  absl::Status status =
      status_of_rendering("{% for a in range(1000) %}{{ a }}{% endfor %}", limits);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("100 steps"), std::string::npos) << status;

  limits = {};
  limits.output_bytes = 10;
  status = status_of_rendering("{% for a in range(20) %}{{ a }}{% endfor %}", limits);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("10 bytes"), std::string::npos) << status;

  limits = {};
  limits.memory_bytes = 5000;
  status = status_of_rendering("{{ range(1000)|length }}", limits);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("5000 bytes of memory"), std::string::npos) << status;

  limits = {};
  limits.depth = 20;
  status = status_of_rendering("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", limits);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("call itself"), std::string::npos) << status;
}

TEST(ChatLimits, DeepTemplatesAreRefusedByTheParser) {
  const std::vector<std::string> sources = {
      "{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}",
      "{{ " + repeated("[", 5000) + repeated("]", 5000) + " }}",
      "{{ " + repeated("not ", 5000) + "1 }}",
      "{{ " + repeated("- ", 5000) + "1 }}",
      "{{ 1" + repeated(" + 1", 5000) + " }}",
      "{{ x" + repeated("|trim", 5000) + " }}",
      "{{ x" + repeated(".y", 5000) + " }}",
      "{{ x" + repeated("()", 5000) + " }}",
      "{{ x" + repeated(" is string", 1) + repeated(" if x else 1", 5000) + " }}",
      repeated("{% if x %}", 5000) + repeated("{% endif %}", 5000),
      repeated("{% for x in y %}", 5000),
  };
  for (const std::string& source : sources) {
    EXPECT_FALSE(Template::parse(source).ok()) << source.substr(0, 40);
  }
  // Long ones are not deep.
  EXPECT_EQ(render("{{ 'a'" + repeated(" ~ 'a'", 5000) + " }}").size(), 5001u);
  EXPECT_TRUE(Template::parse(repeated("{% if x %}a{% elif y %}b{% endif %}", 2000)).ok());
}

TEST(ChatLimits, ParsingIsLinear) {
  const std::string half_mebibyte = repeated("{{ x }}\n{# c #}  {% set y = 'abc' %}\n", 16'000);
  EXPECT_TRUE(Template::parse(half_mebibyte).ok());
  EXPECT_TRUE(Template::parse(repeated("{ { ", 200'000)).ok());
  EXPECT_FALSE(Template::parse(repeated("{% raw %}", 50'000)).ok());
  EXPECT_FALSE(Template::parse(std::string(kMaxTemplateBytes + 1, 'x')).ok());
}

TEST(ChatLimits, ConversationsAreBounded) {
  const auto subject = ChatTemplate::parse("{{ messages|length }}", {});
  ASSERT_TRUE(subject.ok()) << subject.status();
  Conversation conversation;
  conversation.messages = {{{"role", "user"}, {"content", std::string(17u << 20, 'x')}}};
  EXPECT_EQ(subject->render(conversation).status().code(), absl::StatusCode::kInvalidArgument);
  ordered_json deep = "x";
  for (int i = 0; i < 100; ++i) deep = ordered_json::array({deep});
  conversation.messages = {{{"role", "user"}, {"content", deep}}};
  EXPECT_EQ(subject->render(conversation).status().code(), absl::StatusCode::kInvalidArgument);
  conversation.messages = {{{"role", "user"}, {"content", "\xFF"}}};
  EXPECT_EQ(subject->render(conversation).status().code(), absl::StatusCode::kInvalidArgument);
  conversation.messages = {{{"role", "user"}, {"content", 18446744073709551615u}}};
  EXPECT_EQ(subject->render(conversation).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChatErrors, SayTheLineAndTheColumn) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a\nb {{ x.y }}", "chat template, line 2, column 7: 'x' is undefined"},
      {"{{ 'ü' + 1 }}",
       "chat template, line 1, column 8: unsupported operand type(s) for +: 'str' and 'int'"},
      {"{% if %}", "chat template, line 1, column 7: expected an expression, not '%}'"},
      {"\n\n  {% nope %}", "chat template, line 3, column 6: unknown tag 'nope'"},
      {"{% for x in y %}\nx",
       "chat template, line 2, column 2: the template ends without {% endfor %} for the {% for %} "
       "of line 1"},
      {"{% include 'x' %}",
       "chat template, line 1, column 4: {% include %} is not supported in chat templates"},
      {"x{{ 'a }}", "chat template, line 1, column 5: this string does not end"},
      {"{{ raise_exception('Roles must alternate') }}",
       "chat template, line 1, column 19: the model's template refuses: Roles must alternate"},
      {"{% macro m(a) %}\n{{ a.b.c }}{% endmacro %}{{ m(1) }}",
       "chat template, line 2, column 7: 'int object' has no attribute 'b'"},
  };
  for (const auto& [source, wanted] : cases)
    EXPECT_EQ(render(source), "error: " + wanted) << source;
}

}  // namespace
}  // namespace shoal::model::chat
