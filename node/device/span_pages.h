// SPDX-License-Identifier: Apache-2.0
// The KV pages of all devices of a node. A node computes its span on one device or on several, a
// stage each: so a session has a lease in the pool of each stage that its blocks touch, and all of
// them stand at the same position, whatever happens. Decides by argument, without a clock; the
// device queue guards it. Owns a page keeper, and with it a pool, for each stage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/kv_pool.h"
#include "node/device/page_keeper.h"
#include "node/device/prefix_index.h"
#include "proto/types.h"

namespace shoal::node {

// What a session has in one stage.
struct StageLease {
  std::size_t stage = 0;
  model::KvLease lease;
  KnownPages known;
};

// Move-only; gives its pages back on destruction. All of its stages are alike, but for blocks.
class SpanLease {
 public:
  SpanLease() = default;

  std::int64_t position() const { return parts_.empty() ? 0 : first().position(); }
  std::int64_t max_positions() const { return first().max_positions(); }
  std::int64_t promised_positions() const { return first().promised_positions(); }
  std::int64_t held_positions() const { return first().held_positions(); }
  std::size_t stages() const { return parts_.size(); }
  // The lease of the stage that comes at this place in the session's way.
  StageLease& at(std::size_t place) { return parts_.at(place); }

  // As KvLease has them. A step that starts below what pages are known to hold makes them unknown.
  void prepare(std::int64_t start, std::int64_t rows);
  void advance(std::int64_t rows);
  std::int64_t shrink();
  // What the session's client says of its full pages from first_page on. What was said before
  // stands; what is behind a gap, or not full yet, is left out.
  void know(std::uint32_t first_page, std::span<const proto::PageHash> hashes);

 private:
  friend class SpanPages;
  const model::KvLease& first() const { return parts_.front().lease; }

  std::vector<StageLease> parts_;
};

class SpanPages {
 public:
  using Time = PageKeeper::Time;

  // A pool for each stage, in the order of their blocks.
  explicit SpanPages(std::vector<std::unique_ptr<model::KvPool>> pools);

  PartOfSpan whole() const { return {0, edges_.back()}; }
  std::size_t stages() const { return keepers_.size(); }
  // For leases of this part of the span: in all, and not promised to any lease.
  std::int64_t total_positions(PartOfSpan part) const;
  std::int64_t free_positions(PartOfSpan part) const;
  // Of the stage that has most.
  std::int64_t pages_in_use() const;
  std::int64_t kept_pages() const;

  // As PageKeeper has them: all stages, or none.
  std::optional<SpanLease> lease(std::int64_t max_positions, PartOfSpan part,
                                 std::span<const proto::PageHash> prefix, Time now);
  bool grow(SpanLease& lease, std::int64_t max_positions);
  void keep(SpanLease& lease, const proto::PeerId& peer, Time now);
  void end(SpanLease lease, const proto::PeerId& peer, Time now);
  void expire(Time now);
  void drop_all();
  // At most max_bytes in all; kept_bytes stay with each stage.
  std::size_t trim(std::size_t kept_bytes, std::size_t max_bytes);

 private:
  struct Touched {
    std::size_t stage = 0;
    PartOfSpan part;  // within the stage
  };
  std::vector<Touched> touched(PartOfSpan part) const;

  std::vector<std::int64_t> edges_;  // [stages + 1]: the stages' blocks within the span
  std::vector<std::unique_ptr<PageKeeper>> keepers_;
};

}  // namespace shoal::node
