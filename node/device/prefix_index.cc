// SPDX-License-Identifier: Apache-2.0
#include "node/device/prefix_index.h"

#include <utility>

#include "base/check.h"

namespace shoal::node {

std::vector<std::int32_t> PrefixIndex::find(std::span<const proto::PageHash> chain, PartOfSpan part,
                                            Time now) {
  std::vector<Entries::iterator> found;
  std::set<std::int32_t> seen;  // a page stands in a session once, whatever its client repeats
  for (const proto::PageHash& hash : chain) {
    const auto entry = entries_.find({hash, part});
    if (entry == entries_.end() || !seen.insert(entry->second.page).second) break;
    found.push_back(entry);
  }
  std::vector<std::int32_t> pages;
  pages.reserve(found.size());
  for (const auto& entry : found) pages.push_back(entry->second.page);
  for (auto entry = found.rbegin(); entry != found.rend(); ++entry) use(*entry, now);
  return pages;
}

bool PrefixIndex::touch(const proto::PageHash& hash, PartOfSpan part, Time now) {
  const auto entry = entries_.find({hash, part});
  if (entry == entries_.end()) return false;
  use(entry, now);
  return true;
}

void PrefixIndex::add(const proto::PageHash& hash, PartOfSpan part, std::int32_t page,
                      const proto::PeerId& peer, Time now) {
  const auto [entry, is_new] = entries_.emplace(Key{hash, part}, Entry{page, peer, ++uses_, now});
  CHECK(is_new && by_page_.emplace(page, entry).second) << "page " << page << " is here already";
  by_use_.emplace(uses_, entry);
  ByUse& own = of_peer(peer);
  own.emplace(uses_, entry);
  recount(peer, own.size() - 1, own.size());
}

void PrefixIndex::use(Entries::iterator entry, Time now) {
  Entry& value = entry->second;
  by_use_.erase(value.last_use);
  ByUse& own = of_peer(value.peer);
  own.erase(value.last_use);
  value.last_use = ++uses_;
  value.used_at = now;
  by_use_.emplace(value.last_use, entry);
  own.emplace(value.last_use, entry);
}

std::optional<std::int32_t> PrefixIndex::victim() const {
  if (counts_.empty()) return std::nullopt;
  return by_peer_.at(counts_.rbegin()->second).begin()->second->second.page;
}

void PrefixIndex::remove(std::int32_t page) {
  const auto found = by_page_.find(page);
  CHECK(found != by_page_.end()) << "page " << page << " is not here";
  remove(found->second);
}

void PrefixIndex::remove(Entries::iterator entry) {
  const proto::PeerId peer = entry->second.peer;
  ByUse& own = of_peer(peer);
  own.erase(entry->second.last_use);
  recount(peer, own.size() + 1, own.size());
  if (own.empty()) by_peer_.erase(peer);
  by_use_.erase(entry->second.last_use);
  by_page_.erase(entry->second.page);
  entries_.erase(entry);
}

std::vector<std::int32_t> PrefixIndex::expire(Time now) {
  std::vector<std::int32_t> pages;
  while (!by_use_.empty() && now - by_use_.begin()->second->second.used_at >= kKeptFor) {
    pages.push_back(by_use_.begin()->second->second.page);
    remove(by_use_.begin()->second);
  }
  return pages;
}

void PrefixIndex::recount(const proto::PeerId& peer, std::size_t before, std::size_t after) {
  counts_.erase({before, peer});
  if (after > 0) counts_.emplace(after, peer);
}

}  // namespace shoal::node
