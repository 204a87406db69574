// SPDX-License-Identifier: Apache-2.0
#include "model/byte_ranges.h"

#include <algorithm>
#include <utility>

namespace shoal::model {

ByteRanges::ByteRanges(std::vector<ByteRange> ranges) {
  std::erase_if(ranges, [](const ByteRange& range) { return range.begin >= range.end; });
  std::sort(ranges.begin(), ranges.end(),
            [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
  for (const ByteRange& range : ranges) {
    if (!list_.empty() && range.begin <= list_.back().end) {
      list_.back().end = std::max(list_.back().end, range.end);
    } else {
      list_.push_back(range);
    }
  }
}

void ByteRanges::add(ByteRange range) {
  if (range.begin >= range.end) return;
  // The first that the new one touches, and behind the last of those.
  const auto first = std::lower_bound(
      list_.begin(), list_.end(), range.begin,
      [](const ByteRange& there, std::uint64_t begin) { return there.end < begin; });
  auto last = first;
  for (; last != list_.end() && last->begin <= range.end; ++last) {
    range.begin = std::min(range.begin, last->begin);
    range.end = std::max(range.end, last->end);
  }
  list_.insert(list_.erase(first, last), range);
}

bool ByteRanges::contains(ByteRange range) const {
  if (range.begin >= range.end) return true;
  const auto found =
      std::upper_bound(list_.begin(), list_.end(), range.begin,
                       [](std::uint64_t at, const ByteRange& there) { return at < there.end; });
  return found != list_.end() && found->begin <= range.begin && range.end <= found->end;
}

std::uint64_t ByteRanges::bytes() const {
  std::uint64_t all = 0;
  for (const ByteRange& range : list_) all += range.size();
  return all;
}

ByteRanges ByteRanges::without(const ByteRanges& there) const {
  ByteRanges result;
  auto other = there.list_.begin();
  for (ByteRange range : list_) {
    while (other != there.list_.end() && other->end <= range.begin) ++other;
    for (auto cut = other; cut != there.list_.end() && cut->begin < range.end; ++cut) {
      if (cut->begin > range.begin) result.list_.push_back({range.begin, cut->begin});
      range.begin = std::min(range.end, std::max(range.begin, cut->end));
    }
    if (range.begin < range.end) result.list_.push_back(range);
  }
  return result;
}

}  // namespace shoal::model
