// SPDX-License-Identifier: Apache-2.0
#include "node/device/span_pages.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace shoal::node {
namespace {

std::size_t whole_pages(std::int64_t positions) {
  return static_cast<std::size_t>(positions / model::kPagePositions);
}

}  // namespace

void SpanLease::prepare(std::int64_t start, std::int64_t rows) {
  for (StageLease& part : parts_) {
    part.known.truncate(start);
    part.lease.prepare(start, rows);
  }
}

void SpanLease::advance(std::int64_t rows) {
  for (StageLease& part : parts_) part.lease.advance(rows);
}

std::int64_t SpanLease::shrink() {
  std::int64_t freed = 0;
  for (StageLease& part : parts_) freed = part.lease.shrink();
  return freed;
}

void SpanLease::know(std::uint32_t first_page, std::span<const proto::PageHash> hashes) {
  for (StageLease& part : parts_) {
    std::vector<proto::PageHash>& known = part.known.hashes;
    if (first_page > known.size()) continue;
    const std::size_t full = whole_pages(part.lease.position());
    for (std::size_t i = known.size() - first_page; i < hashes.size() && known.size() < full; ++i) {
      known.push_back(hashes[i]);
    }
  }
}

SpanPages::SpanPages(std::vector<std::unique_ptr<model::KvPool>> pools) {
  CHECK(!pools.empty());
  edges_.push_back(0);
  for (std::unique_ptr<model::KvPool>& pool : pools) {
    edges_.push_back(edges_.back() + pool->shape().blocks);
    keepers_.push_back(std::make_unique<PageKeeper>(std::move(pool)));
  }
}

std::vector<SpanPages::Touched> SpanPages::touched(PartOfSpan part) const {
  CHECK(part.first_block >= 0 && part.blocks > 0 && part.first_block + part.blocks <= edges_.back())
      << "blocks " << part.first_block << " + " << part.blocks << " of " << edges_.back();
  std::vector<Touched> result;
  for (std::size_t i = 0; i < keepers_.size(); ++i) {
    const std::int64_t begin = std::max(part.first_block, edges_[i]);
    const std::int64_t end = std::min(part.first_block + part.blocks, edges_[i + 1]);
    if (begin < end) result.push_back({i, {begin - edges_[i], end - begin}});
  }
  return result;
}

std::int64_t SpanPages::total_positions(PartOfSpan part) const {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const Touched& own : touched(part)) {
    least = std::min(least, keepers_[own.stage]->pool().total_positions(own.part.blocks));
  }
  return least;
}

std::int64_t SpanPages::free_positions(PartOfSpan part) const {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const Touched& own : touched(part)) {
    least = std::min(least, keepers_[own.stage]->free_positions(own.part.blocks));
  }
  return least;
}

std::int64_t SpanPages::pages_in_use() const {
  std::int64_t most = 0;
  for (const auto& keeper : keepers_) most = std::max(most, keeper->pool().pages_in_use());
  return most;
}

std::int64_t SpanPages::kept_pages() const {
  std::int64_t most = 0;
  for (const auto& keeper : keepers_) most = std::max(most, keeper->pool().kept_pages());
  return most;
}

std::optional<SpanLease> SpanPages::lease(std::int64_t max_positions, PartOfSpan part,
                                          std::span<const proto::PageHash> prefix, Time now) {
  const std::vector<Touched> ways = touched(part);
  // Asked of all before anything is dropped in one of them.
  if (max_positions > free_positions(part)) return std::nullopt;
  // What is kept in each stage goes by itself: the session stands where all of them stand.
  for (;;) {
    SpanLease lease;
    std::size_t least = prefix.size(), most = 0;
    for (const Touched& own : ways) {
      std::optional<model::KvLease> made =
          keepers_[own.stage]->lease(max_positions, own.part, prefix, now);
      if (!made) return std::nullopt;
      const std::size_t found = whole_pages(made->position());
      least = std::min(least, found);
      most = std::max(most, found);
      const auto hashes = prefix.first(found);
      lease.parts_.push_back(
          {own.stage, *std::move(made), {{hashes.begin(), hashes.end()}, found}});
    }
    if (least == most) return lease;
    prefix = prefix.first(least);
  }
}

bool SpanPages::grow(SpanLease& lease, std::int64_t max_positions) {
  if (max_positions <= lease.max_positions()) return true;
  for (const StageLease& part : lease.parts_) {
    const std::int64_t more = max_positions - part.lease.promised_positions();
    if (more > keepers_[part.stage]->free_positions(part.lease.blocks())) return false;
  }
  for (StageLease& part : lease.parts_) {
    CHECK(keepers_[part.stage]->grow(part.lease, max_positions)) << "the pool had room just now";
  }
  return true;
}

void SpanPages::keep(SpanLease& lease, const proto::PeerId& peer, Time now) {
  for (StageLease& part : lease.parts_) {
    keepers_[part.stage]->keep(part.lease, part.known, peer, now);
  }
}

void SpanPages::end(SpanLease lease, const proto::PeerId& peer, Time now) {
  for (StageLease& part : lease.parts_) {
    keepers_[part.stage]->end(std::move(part.lease), part.known, peer, now);
  }
}

void SpanPages::expire(Time now) {
  for (const auto& keeper : keepers_) keeper->expire(now);
}

void SpanPages::drop_all() {
  for (const auto& keeper : keepers_) keeper->drop_all();
}

std::size_t SpanPages::trim(std::size_t kept_bytes, std::size_t max_bytes) {
  std::size_t given = 0;
  for (const auto& keeper : keepers_) {
    if (given < max_bytes) given += keeper->trim(kept_bytes, max_bytes - given);
  }
  return given;
}

}  // namespace shoal::node
