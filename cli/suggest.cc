// SPDX-License-Identifier: Apache-2.0
#include "cli/suggest.h"

#include <algorithm>
#include <cctype>
#include <limits>

namespace shoal::cli {
namespace {

constexpr std::size_t kMostSuggestions = 4;
constexpr std::size_t kLongestWord = 64;  // nobody means an option with a longer one

std::string plain(std::string_view word) {
  while (word.starts_with('-')) word.remove_prefix(1);
  std::string text(word);
  for (char& c : text) {
    c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the table: a swap looks two rows back.
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::vector<std::string> similar(std::string_view typed, const std::vector<std::string>& known) {
  const std::string word = plain(typed);
  std::vector<std::string> found;
  if (word.empty() || word.size() > kLongestWord) return found;
  for (const std::string& candidate : known) {
    if (plain(candidate).starts_with(word)) found.push_back(candidate);
  }
  if (found.empty()) {
    std::size_t nearest = std::numeric_limits<std::size_t>::max();
    for (const std::string& candidate : known) {
      const std::string other = plain(candidate);
      const std::size_t distance = edit_distance(word, other);
      if (distance > std::max<std::size_t>(1, std::max(word.size(), other.size()) / 3)) continue;
      if (distance > nearest) continue;
      if (distance < nearest) found.clear();
      nearest = distance;
      found.push_back(candidate);
    }
  }
  if (found.size() > kMostSuggestions) found.resize(kMostSuggestions);
  return found;
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& known) {
  const auto words = similar(typed, known);
  return words.empty() ? "" : ": did you mean " + either(words) + "?";
}

std::string either(const std::vector<std::string>& words, const char* last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " " + std::string(last) + " " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace shoal::cli
