// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/added_tokens.h"

#include <algorithm>

#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

bool word_before(std::string_view text, std::size_t at) {
  return at > 0 && is_word(previous_code(text, &at));
}

bool word_after(std::string_view text, std::size_t at) {
  return at < text.size() && is_word(next_code(text, &at));
}

// Where the white space that ends at `at` begins; looks no further back than `limit`.
std::size_t space_before(std::string_view text, std::size_t at, std::size_t limit) {
  while (at > limit) {
    std::size_t begin = at;
    if (!is_white_space(previous_code(text, &begin))) break;
    at = begin;
  }
  return at;
}

std::size_t space_after(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    std::size_t end = at;
    if (!is_white_space(next_code(text, &end))) break;
    at = end;
  }
  return at;
}

}  // namespace

TokenTrie::TokenTrie() : nodes_(1) {}

void TokenTrie::add(std::string_view content, std::size_t value) {
  std::uint32_t node = 0;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t& child = node == 0 ? first_[byte] : children_[std::uint64_t{node} << 8 | byte];
    if (child == 0) {
      child = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    }
    node = child;
  }
  if (node != 0 && nodes_[node].value == kNone) nodes_[node].value = value;
}

std::optional<TokenTrie::Match> TokenTrie::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    std::uint32_t node = first_[static_cast<unsigned char>(text[begin])];
    Match match{begin, begin, kNone};
    for (std::size_t at = begin + 1; node != 0; ++at) {
      if (nodes_[node].value != kNone) match = {begin, at, nodes_[node].value};
      if (at == text.size()) break;
      const auto child =
          children_.find(std::uint64_t{node} << 8 | static_cast<unsigned char>(text[at]));
      node = child == children_.end() ? 0 : child->second;
    }
    if (match.value != kNone) return match;
  }
  return std::nullopt;
}

bool StaysText::operator()(const AddedToken& token, std::size_t begin, std::size_t end) const {
  const auto range =
      std::upper_bound(within.begin(), within.end(), begin,
                       [](std::size_t at, const TextRange& each) { return at < each.end; });
  if (range == within.end() || range->begin >= end) return false;
  // Runs of blanks and the like steer nothing.
  return token.special || (token.content.starts_with('<') && token.content.ends_with('>'));
}

std::vector<Segment> split_on_added(std::string_view text, const TokenTrie& trie,
                                    const std::vector<AddedToken>& tokens,
                                    const StaysText& stays_text) {
  std::vector<Segment> segments;
  std::size_t done = 0;       // everything before is in segments
  std::size_t space_end = 0;  // end of the white space looked at last: keeps runs of rstrip linear
  std::size_t from = 0;
  while (!trie.empty()) {
    const auto match = trie.find(text, from);
    if (!match) break;
    const AddedToken& token = tokens[match->value];
    if (stays_text.special && token.special) {
      from = match->end;
      continue;
    }
    if (stays_text(token, match->begin, match->end)) {
      from = match->begin + 1;  // another one may begin within it
      continue;
    }
    from = match->end;
    if (token.single_word && (word_before(text, match->begin) || word_after(text, match->end))) {
      continue;
    }
    std::size_t begin = match->begin;
    std::size_t end = match->end;
    if (token.lstrip) begin = std::max(space_before(text, begin, done), done);
    if (token.rstrip) {
      if (end >= space_end) space_end = space_after(text, end);
      end = std::max(end, space_end);
    }
    if (done < begin) segments.push_back({text.substr(done, begin - done), std::nullopt});
    segments.push_back({{}, token.id});
    done = end;
  }
  if (done < text.size()) segments.push_back({text.substr(done), std::nullopt});
  return segments;
}

}  // namespace shoal::model
