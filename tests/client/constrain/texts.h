// SPDX-License-Identifier: Apache-2.0
// What a constraint allows, for tests: whole texts, and texts drawn at random.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "client/constrain/constraint.h"
#include "client/constrain/state_space.h"

namespace shoal::client::constrain {

// The error's message where there is no grammar.
inline std::string error_of(const std::vector<Form>& forms) {
  const auto grammar = grammar_of(forms);
  return grammar.ok() ? "" : std::string(grammar.status().message());
}
inline Form schema_form(const std::string& text) {
  return JsonForm{nlohmann::ordered_json::parse(text)};
}

class Texts {
 public:
  explicit Texts(const Form& form) : grammar_(made(form)), space_(grammar_) {}

  bool allow(std::string_view text) {
    const StateId state = space_.next(space_.start(), text);
    return state != kDead && space_.accepts(state);
  }
  bool may_begin(std::string_view text) { return space_.next(space_.start(), text) != kDead; }
  bool end_with(std::string_view text) {
    const StateId state = space_.next(space_.start(), text);
    return state != kDead && space_.is_last(state);
  }
  // Byte by byte, the ways to go on equally likely; from `haste` bytes on it ends as soon as it
  // may.
  std::string draw(base::Random& random, std::size_t haste) {
    std::string text;
    StateId state = space_.start();
    for (;;) {
      if (space_.is_last(state)) return text;
      if (space_.accepts(state) && (text.size() >= haste || random.uniform() < 0.1)) return text;
      std::vector<unsigned char> ways;
      for (int byte = 0; byte < 256; ++byte) {
        if (space_.next(state, static_cast<unsigned char>(byte)) != kDead) {
          ways.push_back(static_cast<unsigned char>(byte));
        }
      }
      if (text.size() >= haste && !ways.empty() && ways.front() < 0x80) {
        std::erase_if(ways, [](unsigned char way) { return way >= 0x80; });
      }
      EXPECT_FALSE(ways.empty()) << "a dead end behind " << text;
      if (ways.empty() || text.size() > 100'000) return text;
      unsigned char byte =
          ways[static_cast<std::size_t>(random.uniform() * static_cast<double>(ways.size()))];
      // The end of a string, of an object, of a list is where it would end.
      if (text.size() >= haste && random.uniform() < 0.7) {
        for (const unsigned char close : {':', ']', '}', '"'}) {
          if (std::ranges::find(ways, close) != ways.end()) byte = close;
        }
      }
      text.push_back(static_cast<char>(byte));
      state = space_.next(state, byte);
    }
  }
  StateSpace& space() { return space_; }

 private:
  static Grammar made(const Form& form) {
    auto grammar = grammar_of({form});
    EXPECT_TRUE(grammar.ok()) << grammar.status();
    return *std::move(grammar);
  }
  const Grammar grammar_;
  StateSpace space_;
};

}  // namespace shoal::client::constrain
