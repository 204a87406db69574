// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sorted_contacts.h"

#include <algorithm>

namespace shoal::sim {
namespace {

using Range = std::span<const dht::Contact>;

void collect(Range range, std::size_t bit, const dht::Key& target, std::size_t count,
             std::vector<dht::Contact>& out) {
  if (range.empty() || out.size() >= count) return;
  if (range.size() == 1 || bit == 256) {
    out.push_back(range.front());
    return;
  }
  const auto [zeros, ones] = SortedContacts::split(range, bit);
  const bool one = bit_of(target.bytes, bit);
  collect(one ? ones : zeros, bit + 1, target, count, out);
  collect(one ? zeros : ones, bit + 1, target, count, out);
}

}  // namespace

bool bit_of(std::span<const std::uint8_t> id, std::size_t bit) {
  return (id[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

SortedContacts::SortedContacts(std::vector<dht::Contact> contacts)
    : contacts_(std::move(contacts)) {
  std::sort(contacts_.begin(), contacts_.end(),
            [](const auto& a, const auto& b) { return a.peer < b.peer; });
}

std::pair<Range, Range> SortedContacts::split(Range range, std::size_t bit) {
  const auto ones = std::partition_point(
      range.begin(), range.end(),
      [&](const dht::Contact& contact) { return !bit_of(contact.peer.bytes, bit); });
  const auto zeros = static_cast<std::size_t>(ones - range.begin());
  return {range.first(zeros), range.subspan(zeros)};
}

std::vector<dht::Contact> SortedContacts::closest(const dht::Key& target, std::size_t count) const {
  std::vector<dht::Contact> result;
  collect(contacts_, 0, target, count, result);
  return result;
}

}  // namespace shoal::sim
