// SPDX-License-Identifier: Apache-2.0
// Which bytes of a file are there: half-open ranges, merged and in order. A value; pure.
#pragma once

#include <cstdint>
#include <vector>

namespace shoal::model {

struct ByteRange {
  std::uint64_t begin = 0, end = 0;

  std::uint64_t size() const { return end - begin; }
  bool operator==(const ByteRange&) const = default;
};

class ByteRanges {
 public:
  ByteRanges() = default;
  // In any order, overlapping or not; empty ones do not count.
  explicit ByteRanges(std::vector<ByteRange> ranges);

  void add(ByteRange range);
  bool contains(ByteRange range) const;  // all of it
  std::uint64_t bytes() const;
  const std::vector<ByteRange>& list() const { return list_; }
  bool empty() const { return list_.empty(); }
  // What is in these and not in `there`.
  ByteRanges without(const ByteRanges& there) const;

  bool operator==(const ByteRanges&) const = default;

 private:
  std::vector<ByteRange> list_;
};

}  // namespace shoal::model
