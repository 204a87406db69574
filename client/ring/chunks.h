// SPDX-License-Identifier: Apache-2.0
// How a prefill is cut into chunks: small enough for the wire and for every hop, and enough of them
// that all hops of the route work at the same time. Pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "proto/limits.h"

namespace shoal::client {

// Below this a chunk costs more in messages than it gains in overlap.
inline constexpr std::size_t kLeastChunkRows = 32;

inline std::size_t max_chunk_rows(std::uint32_t hidden, std::uint32_t hop_limit) {
  const std::size_t by_bytes = proto::kMaxChunkBytes / (std::size_t{hidden} * sizeof(float));
  return std::max<std::size_t>(
      1, std::min({by_bytes, std::size_t{hop_limit}, std::size_t{proto::kMaxRowsPerStep}}));
}

// Two chunks for each hop keep a ring of h hops busy for all but the ends of a prefill.
inline std::size_t chunk_rows(std::size_t rows, std::size_t hops, std::size_t most) {
  if (hops <= 1) return most;
  const std::size_t wanted = (rows + 2 * hops - 1) / (2 * hops);
  return std::min(most, std::max(kLeastChunkRows, wanted));
}

// Steps under way at once: each hop has one to work on and one to come, and the client's are never
// many.
inline std::size_t steps_in_flight(std::size_t hops) {
  return std::min<std::size_t>(2 * hops + 1, proto::kMaxStepsInFlight / 2);
}

}  // namespace shoal::client
