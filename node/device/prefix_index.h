// SPDX-License-Identifier: Apache-2.0
// Which KV pages are kept for later sessions, and which of them goes first. A page is known by the
// hash of its tokens and all tokens before it, which only its client can make (docs/protocol.md,
// "Prefixes"), and serves sessions of exactly the blocks that it was computed for. Pages are
// charged to the peer that had them kept. Pure: time comes in by argument; the caller guards it and
// keeps the pages alive.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "proto/types.h"

namespace shoal::node {

// Between two turns of somebody who reads and writes; long enough for most, and an idle node has
// its memory back soon.
inline constexpr std::chrono::minutes kKeptFor{5};

// Blocks within the span of the node.
struct PartOfSpan {
  std::int64_t first_block = 0;
  std::int64_t blocks = 0;
  friend auto operator<=>(const PartOfSpan&, const PartOfSpan&) = default;
};

class PrefixIndex {
 public:
  using Time = std::chrono::steady_clock::time_point;

  std::size_t size() const { return entries_.size(); }
  // The pages of the longest beginning of `chain` that is here. They count as used now, the last
  // one longest ago: what goes first of a chain is its end.
  std::vector<std::int32_t> find(std::span<const proto::PageHash> chain, PartOfSpan part, Time now);
  // Whether it is here; it counts as used now.
  bool touch(const proto::PageHash& hash, PartOfSpan part, Time now);
  // It must not be here.
  void add(const proto::PageHash& hash, PartOfSpan part, std::int32_t page,
           const proto::PeerId& peer, Time now);

  // The page to go next when there is no room: of the peer that keeps most, what was not used for
  // longest. nullopt: nothing is kept.
  std::optional<std::int32_t> victim() const;
  void remove(std::int32_t page);  // it must be here
  // Takes out, and returns, what was not used for kKeptFor.
  std::vector<std::int32_t> expire(Time now);

 private:
  using Key = std::tuple<proto::PageHash, PartOfSpan>;
  struct Entry {
    std::int32_t page = 0;
    proto::PeerId peer;
    std::uint64_t last_use = 0;
    Time used_at;
  };
  using Entries =
      std::map<Key, Entry>;  // hashes come from strangers: no table that they could fill
  using ByUse = std::map<std::uint64_t, Entries::iterator>;

  void use(Entries::iterator entry, Time now);
  void remove(Entries::iterator entry);
  ByUse& of_peer(const proto::PeerId& peer) { return by_peer_[peer]; }
  void recount(const proto::PeerId& peer, std::size_t before, std::size_t after);

  Entries entries_;
  std::map<std::int32_t, Entries::iterator> by_page_;
  ByUse by_use_;
  std::map<proto::PeerId, ByUse> by_peer_;
  std::set<std::pair<std::size_t, proto::PeerId>> counts_;  // pages of each peer
  std::uint64_t uses_ = 0;
};

}  // namespace shoal::node
