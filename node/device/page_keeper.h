// SPDX-License-Identifier: Apache-2.0
// The KV pool and what is kept in it for later sessions, in one hand: a lease may begin with pages
// that are kept, a session's pages are kept when its client says what they hold, and kept pages go
// as soon as a lease cannot be promised otherwise. Decides by argument, without a clock; the device
// queue guards it. Owns pool and index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/kv_pool.h"
#include "node/device/prefix_index.h"
#include "proto/types.h"

namespace shoal::node {

// What a session's client said of its first pages, in order.
struct KnownPages {
  std::vector<proto::PageHash> hashes;
  std::size_t kept = 0;  // so many of them are in the index, or were

  // Pages that begin at or behind `position`, or reach beyond it, hold something else from now on.
  void truncate(std::int64_t position);
};

class PageKeeper {
 public:
  using Time = PrefixIndex::Time;

  explicit PageKeeper(std::unique_ptr<model::KvPool> pool) : pool_(std::move(pool)) {}
  ~PageKeeper() { drop_all(); }
  PageKeeper(const PageKeeper&) = delete;
  PageKeeper& operator=(const PageKeeper&) = delete;

  const model::KvPool& pool() const { return *pool_; }
  std::int64_t free_positions(std::int64_t blocks) const { return pool_->free_positions(blocks); }

  // A lease that stands behind the longest beginning of `prefix` that is kept; at most
  // max_positions of it. nullopt when there is no room even if nothing were kept: then nothing is
  // dropped.
  std::optional<model::KvLease> lease(std::int64_t max_positions, PartOfSpan part,
                                      std::span<const proto::PageHash> prefix, Time now);
  // As KvLease::grow().
  bool grow(model::KvLease& lease, std::int64_t max_positions);
  // Keeps those of the pages known and filled that are not kept yet, as far as there is room beside
  // what leases were promised and what is kept.
  void keep(const model::KvLease& lease, KnownPages& known, const proto::PeerId& peer, Time now);
  // Ends the lease, and keeps what could not be kept before in its room.
  void end(model::KvLease lease, const KnownPages& known, const proto::PeerId& peer, Time now);

  void expire(Time now);
  void drop_all();
  std::size_t trim(std::size_t kept_bytes, std::size_t max_bytes) {
    return pool_->trim(kept_bytes, max_bytes);
  }

 private:
  // Counts the first pages as used now, the last one longest ago; how many stand before the first
  // that is not in the index.
  std::size_t use(const model::KvLease& lease, const KnownPages& known, std::size_t pages,
                  Time now);
  void drop(std::int32_t page);

  const std::unique_ptr<model::KvPool> pool_;
  PrefixIndex index_;
};

}  // namespace shoal::node
