// SPDX-License-Identifier: Apache-2.0
// The added tokens of tokenizer.json: contents that are cut out of a text before, or after,
// normalization. Immutable after build().
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "model/tokenizer.h"

namespace shoal::model {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalized text
  bool special = false;      // a control token: skipped when decoding
};

// Finds the leftmost, then longest, of many contents. Time: text length times the longest content
// that nearly matches.
class TokenTrie {
 public:
  TokenTrie();
  void add(std::string_view content, std::size_t value);  // the first of equal contents wins
  bool empty() const { return nodes_.size() == 1; }
  struct Match {
    std::size_t begin, end, value;
  };
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  struct Node {
    std::size_t value = kNone;
  };
  std::vector<Node> nodes_;
  std::array<std::uint32_t, 256> first_{};                      // children of the root, 0 is none
  absl::flat_hash_map<std::uint64_t, std::uint32_t> children_;  // node << 8 | byte
};

// A stretch of text, or an added token in place of one.
struct Segment {
  std::string_view text;
  std::optional<std::int32_t> id;
};

// Which tokens stay text: special ones, as in the reference, and those that steer a model where
// they reach into one of the ranges.
struct StaysText {
  bool special = false;
  std::span<const TextRange> within = {};

  bool operator()(const AddedToken& token, std::size_t begin, std::size_t end) const;
};

// Cuts a text along the tokens of one trie.
std::vector<Segment> split_on_added(std::string_view text, const TokenTrie& trie,
                                    const std::vector<AddedToken>& tokens,
                                    const StaysText& stays_text);

}  // namespace shoal::model
