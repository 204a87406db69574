// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/code_points.h"

#include <algorithm>

namespace shoal::client::constrain {
namespace {

constexpr char32_t kLast = 0x10FFFF;
constexpr char32_t kSurrogates = 0xD800, kBehindSurrogates = 0xE000;

}  // namespace

CodePoints CodePoints::of(char32_t low, char32_t high) {
  CodePoints set;
  set.add(low, high);
  return set;
}

CodePoints CodePoints::all() { return of(0, kLast); }

void CodePoints::add(char32_t low, char32_t high) {
  if (low < kSurrogates && high >= kBehindSurrogates) {
    add(low, kSurrogates - 1);
    return add(kBehindSurrogates, high);
  }
  if (low >= kSurrogates && low < kBehindSurrogates) low = kBehindSurrogates;
  if (high >= kSurrogates && high < kBehindSurrogates) high = kSurrogates - 1;
  high = std::min(high, kLast);
  if (low > high) return;
  const auto at = std::ranges::lower_bound(ranges_, low, {}, &Range::first);
  ranges_.insert(at, {low, high});
  std::vector<Range> merged;
  for (const Range& range : ranges_) {
    if (!merged.empty() && range.first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

void CodePoints::add(const CodePoints& other) {
  for (const auto& [low, high] : other.ranges_) add(low, high);
}

CodePoints CodePoints::complement() const {
  CodePoints result;
  char32_t next = 0;
  for (const auto& [low, high] : ranges_) {
    if (low > next) result.add(next, low - 1);
    next = high + 1;
  }
  if (next <= kLast) result.add(next, kLast);
  return result;
}

CodePoints CodePoints::minus(const CodePoints& other) const {
  return intersection(other.complement());
}

CodePoints CodePoints::intersection(const CodePoints& other) const {
  CodePoints result;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const char32_t low = std::max(a->first, b->first), high = std::min(a->second, b->second);
    if (low <= high) result.ranges_.emplace_back(low, high);
    if (a->second < b->second) {
      ++a;
    } else {
      ++b;
    }
  }
  return result;
}

bool CodePoints::contains(char32_t code) const {
  return std::ranges::any_of(
      ranges_, [&](const Range& range) { return range.first <= code && code <= range.second; });
}

}  // namespace shoal::client::constrain
