// SPDX-License-Identifier: Apache-2.0
// A form of answers: a letter that says which, then a regular expression (r), choices a line each
// (c), or a JSON Schema (any other). Whatever it is, it ends in a Status or in a grammar; walking
// through that meets no dead end, and what a schema ends with is JSON.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "client/constrain/constraint.h"
#include "client/constrain/state_space.h"
#include "model/json_fields.h"
#include "model/tokenizer/utf8.h"

using nlohmann::ordered_json;
using shoal::client::constrain::ChoiceForm;
using shoal::client::constrain::Form;
using shoal::client::constrain::grammar_of;
using shoal::client::constrain::JsonForm;
using shoal::client::constrain::kDead;
using shoal::client::constrain::key_of;
using shoal::client::constrain::RegexForm;
using shoal::client::constrain::StateId;
using shoal::client::constrain::StateSpace;

namespace {

constexpr std::size_t kMostBytes = 120, kMostStates = 1000;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Goes where the seed leads.
void walk(const shoal::client::constrain::Grammar& grammar, std::uint64_t seed, bool is_json) {
  StateSpace space(grammar);
  StateId state = space.start();
  std::string text;
  while (text.size() < kMostBytes && space.size() < kMostStates && !space.is_last(state)) {
    std::vector<unsigned char> ways;
    for (int byte = 0; byte < 256; ++byte) {
      if (space.next(state, static_cast<unsigned char>(byte)) != kDead) {
        ways.push_back(static_cast<unsigned char>(byte));
      }
    }
    if (!space.status().ok()) return;
    CHECK(!ways.empty()) << "a dead end";
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const unsigned char way = ways[(seed >> 33) % ways.size()];
    text.push_back(static_cast<char>(way));
    state = space.next(state, way);
    CHECK(state != kDead);
  }
  if (space.accepts(state)) {
    CHECK(shoal::model::is_utf8(text));
    CHECK(!is_json || ordered_json::accept(text)) << text;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 2048) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  Form form = RegexForm{text};
  const bool is_json = data[0] != 'r' && data[0] != 'c';
  if (data[0] == 'c') form = ChoiceForm{lines_of(text)};
  if (is_json) {
    if (!shoal::model::has_bounded_shape(text, 64, 4096)) return 0;
    ordered_json schema = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (schema.is_discarded()) return 0;
    form = JsonForm{std::move(schema)};
  }
  const auto grammar = grammar_of({form});
  if (!grammar.ok()) {
    CHECK(!grammar.status().message().empty());
    CHECK(key_of({form}) == key_of({form}));
    return 0;
  }
  for (std::uint64_t seed = 0; seed < 2; ++seed) walk(*grammar, seed + size, is_json);
  return 0;
}
