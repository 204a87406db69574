// SPDX-License-Identifier: Apache-2.0
#include "model/chat/text.h"

#include <algorithm>
#include <utility>

namespace shoal::model::chat {
namespace {

std::size_t count_codes(std::string_view bytes) {
  std::size_t count = 0;
  for (const char byte : bytes) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

constexpr std::size_t kTextOverhead = 96;

}  // namespace

Text::Rep::Rep(std::string text, std::vector<ByteRange> ranges, Budget* budget)
    : bytes(std::move(text)),
      untrusted(std::move(ranges)),
      length(count_codes(bytes)),
      charge(budget, bytes.size() + untrusted.size() * sizeof(ByteRange) + kTextOverhead) {}

Text::Text(std::string bytes, bool trusted, Budget* budget) {
  if (bytes.empty()) return;
  if (budget != nullptr) budget->spend_bytes(bytes.size());
  std::vector<ByteRange> ranges;
  if (!trusted) ranges.push_back({0, bytes.size()});
  rep_ = std::make_shared<const Rep>(std::move(bytes), std::move(ranges), budget);
}

const std::vector<ByteRange>& Text::untrusted() const {
  static const std::vector<ByteRange> kNone;
  return rep_ ? rep_->untrusted : kNone;
}

bool Text::is_trusted_at(std::size_t byte) const {
  const std::vector<ByteRange>& ranges = untrusted();
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), byte,
      [](std::size_t value, const ByteRange& range) { return value < range.begin; });
  return after == ranges.begin() || byte >= std::prev(after)->end;
}

std::size_t Text::byte_of(std::size_t index) const {
  if (is_ascii()) return std::min(index, bytes().size());
  const std::string_view all = bytes();
  std::size_t at = 0;
  for (; index > 0 && at < all.size(); --index) {
    ++at;
    while (at < all.size() && (static_cast<unsigned char>(all[at]) & 0xC0) == 0x80) ++at;
  }
  return at;
}

void TextBuilder::grow(std::size_t bytes) {
  charge_.add(bytes);
  if (charge_.budget() != nullptr) charge_.budget()->spend_bytes(bytes);
}

void TextBuilder::mark(std::size_t begin, std::size_t end) {
  if (!untrusted_.empty() && untrusted_.back().end == begin) {
    untrusted_.back().end = end;
    return;
  }
  charge_.add(sizeof(ByteRange));
  untrusted_.push_back({begin, end});
}

void TextBuilder::append(const Text& text, std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  grow(end - begin);
  const std::size_t base = bytes_.size();
  bytes_.append(text.bytes().substr(begin, end - begin));
  const std::vector<ByteRange>& ranges = text.untrusted();
  auto range = std::upper_bound(
      ranges.begin(), ranges.end(), begin,
      [](std::size_t value, const ByteRange& candidate) { return value < candidate.end; });
  for (; range != ranges.end() && range->begin < end; ++range) {
    mark(base + std::max(range->begin, begin) - begin, base + std::min(range->end, end) - begin);
  }
}

void TextBuilder::append(std::string_view bytes, bool trusted) {
  if (bytes.empty()) return;
  grow(bytes.size());
  if (!trusted) mark(bytes_.size(), bytes_.size() + bytes.size());
  bytes_.append(bytes);
}

Text TextBuilder::finish() {
  charge_.reset();
  Text text;
  if (!bytes_.empty()) {
    text.rep_ = std::make_shared<const Text::Rep>(std::move(bytes_), std::move(untrusted_),
                                                  charge_.budget());
  }
  bytes_.clear();
  untrusted_.clear();
  return text;
}

Text part_of(const Text& text, std::size_t begin, std::size_t end, Budget& budget) {
  if (begin == 0 && end >= text.bytes().size()) return text;
  TextBuilder builder(&budget);
  builder.append(text, begin, std::min(end, text.bytes().size()));
  return builder.finish();
}

}  // namespace shoal::model::chat
