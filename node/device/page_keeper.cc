// SPDX-License-Identifier: Apache-2.0
#include "node/device/page_keeper.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

static_assert(proto::kPrefixPagePositions == model::kPagePositions, "hashes are of whole pages");

PartOfSpan part_of(const model::KvLease& lease) { return {lease.first_block(), lease.blocks()}; }

// Pages of which the client said what they hold, and that are filled.
std::size_t full_pages(const model::KvLease& lease, const KnownPages& known) {
  return std::min(known.hashes.size(),
                  static_cast<std::size_t>(lease.position() / model::kPagePositions));
}

}  // namespace

void KnownPages::truncate(std::int64_t position) {
  const auto whole = static_cast<std::size_t>(position / model::kPagePositions);
  if (hashes.size() > whole) hashes.resize(whole);
  kept = std::min(kept, whole);
}

std::optional<model::KvLease> PageKeeper::lease(std::int64_t max_positions, PartOfSpan part,
                                                std::span<const proto::PageHash> prefix, Time now) {
  const auto most = static_cast<std::size_t>(max_positions / model::kPagePositions);
  const std::vector<std::int32_t> pages =
      index_.find(prefix.first(std::min(prefix.size(), most)), part, now);
  model::KvLease lease = pool_->attach(part.first_block, part.first_block + part.blocks, pages);
  if (!grow(lease, max_positions)) return std::nullopt;
  return lease;
}

bool PageKeeper::grow(model::KvLease& lease, std::int64_t max_positions) {
  if (max_positions <= lease.max_positions()) return true;
  const std::int64_t more = max_positions - lease.promised_positions();
  if (more > pool_->free_positions(lease.blocks())) return false;
  while (!lease.grow(max_positions)) {
    const auto victim = index_.victim();
    CHECK(victim.has_value()) << "the pool promises less than it has";
    drop(*victim);
  }
  return true;
}

void PageKeeper::keep(const model::KvLease& lease, KnownPages& known, const proto::PeerId& peer,
                      Time now) {
  const std::size_t full = full_pages(lease, known);
  if (known.kept >= full) return;
  known.kept = use(lease, known, known.kept, now);
  for (; known.kept < full; ++known.kept) {
    const proto::PageHash& hash = known.hashes[known.kept];
    const std::int32_t page = lease.pages()[known.kept];
    // A page that is kept under another hash was claimed twice, and is not kept twice.
    if (index_.touch(hash, part_of(lease), now) || pool_->is_kept(page)) continue;
    if (!pool_->keep(page)) break;
    index_.add(hash, part_of(lease), page, peer, now);
  }
  use(lease, known, known.kept, now);
}

std::size_t PageKeeper::use(const model::KvLease& lease, const KnownPages& known, std::size_t pages,
                            Time now) {
  std::size_t whole = pages;
  for (std::size_t i = pages; i-- > 0;) {
    if (!index_.touch(known.hashes[i], part_of(lease), now)) whole = i;
  }
  return whole;
}

void PageKeeper::end(model::KvLease lease, const KnownPages& known, const proto::PeerId& peer,
                     Time now) {
  std::vector<std::int32_t> pages;
  // From the end on: what is used last is the beginning.
  for (std::size_t i = full_pages(lease, known); i-- > 0;) {
    const std::int32_t page = lease.pages()[i];
    if (index_.touch(known.hashes[i], part_of(lease), now) || pool_->is_kept(page)) continue;
    index_.add(known.hashes[i], part_of(lease), page, peer, now);
    pages.push_back(page);
  }
  pool_->end(std::move(lease), pages);
}

void PageKeeper::drop(std::int32_t page) {
  index_.remove(page);
  pool_->drop(page);
}

void PageKeeper::expire(Time now) {
  for (const std::int32_t page : index_.expire(now)) pool_->drop(page);
}

void PageKeeper::drop_all() {
  while (const auto victim = index_.victim()) drop(*victim);
}

}  // namespace shoal::node
