// SPDX-License-Identifier: Apache-2.0
// What does not change while a node serves: who it is, the model, its span, and the limits of a
// session. Plain value.
#pragma once

#include <cstdint>

#include "proto/limits.h"
#include "proto/offer.h"

namespace shoal::node {

struct NodeFacts {
  proto::PeerId peer_id;
  proto::Offer offer;
  std::uint32_t hidden = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t max_rows_per_step = 0;  // rows of one chunk
  std::uint32_t max_positions = 0;      // of one session
  double head_us = 0;                   // of one row, where it has a head
  std::uint32_t max_sessions = proto::kMaxSessions;
  std::uint32_t max_sessions_per_peer = proto::kMaxSessionsPerPeer;
};

// Rows of one step: as many as a chunk of kMaxChunkBytes holds in f32, between 1 and
// kMaxRowsPerStep.
std::uint32_t rows_per_step(std::uint32_t hidden);

}  // namespace shoal::node
