// SPDX-License-Identifier: Apache-2.0
// Which span of blocks a new node should serve: the window whose worst-served blocks are worst.
// Pure functions. Source: Petals server/block_selection.py; departs from it in that a draining node
// no longer counts as a server.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "dht/record.h"
#include "proto/types.h"

namespace shoal::node {

// One server of the model: its span and how much it can do (any unit, the same for all).
struct ServedSpan {
  proto::PeerId peer;
  proto::Span span;  // where it is, or where it is going
  double throughput = 0;
  std::uint32_t movable = 0;   // blocks that it would serve elsewhere; 0: it stays
  bool joining = false;        // it has only just chosen
  std::uint64_t sequence = 0;  // of its record
};

// What counts for placement: joining and online nodes other than `self`, with spans inside the
// model; those that move, where they go.
std::vector<ServedSpan> served_spans(std::span<const dht::Record> records,
                                     const proto::Digest& model_digest, std::uint32_t block_count,
                                     const proto::PeerId& self);

// [block_count]: sum over the servers of each block. Summed in the order of peer ids, so that all
// peers agree.
std::vector<double> block_throughput(std::vector<ServedSpan> servers, std::uint32_t block_count);

// The window of `size` blocks whose throughputs, sorted ascending, are lexicographically least;
// ties go to the lowest begin. CHECKs 1 <= size <= throughput.size().
proto::Span choose_span(std::span<const double> throughput, std::uint32_t size);
// The same of a node that holds only these runs of blocks, in order, at least one. Where none has
// `size` blocks, a window of the longest's.
proto::Span choose_span(std::span<const double> throughput, std::uint32_t size,
                        std::span<const proto::Span> held);

// What a node that has chosen `current` would choose now, if that is better. It is not for a tie.
std::optional<proto::Span> better_span(std::span<const double> throughput, proto::Span current,
                                       std::span<const proto::Span> held);

// Of nodes that choose at the same time each heeds those who said first what they take, and those
// whom it knew when it chose: `known`. Nobody heeds the others, so that no two give way to each
// other. `own_sequence`: of the record that says our own choice.
std::vector<ServedSpan> heeded(std::vector<ServedSpan> servers,
                               const std::set<proto::PeerId>& known, std::uint64_t own_sequence,
                               const proto::PeerId& self);

}  // namespace shoal::node
