// SPDX-License-Identifier: Apache-2.0
// What hardly changes while a node serves: who it is, the model, its span, and the limits of a
// session. Plain value; those of Adjustable may be changed by any thread while others read.
#pragma once

#include <atomic>
#include <cstdint>

#include "proto/limits.h"
#include "proto/offer.h"

namespace shoal::node {

class Adjustable {
 public:
  Adjustable(std::uint32_t value) : value_(value) {}  // NOLINT: it is a number
  Adjustable(const Adjustable& other) : value_(other.value_.load()) {}
  Adjustable& operator=(const Adjustable& other) {
    value_ = other.value_.load();
    return *this;
  }
  operator std::uint32_t() const { return value_; }  // NOLINT: likewise

 private:
  std::atomic<std::uint32_t> value_;
};

struct NodeFacts {
  proto::PeerId peer_id;
  proto::Offer offer;
  std::uint32_t hidden = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t max_rows_per_step = 0;  // rows of one chunk
  std::uint32_t max_positions = 0;      // of one session
  double head_us = 0;                   // of one row, where it has a head
  Adjustable max_sessions = proto::kMaxSessions;
  Adjustable max_sessions_per_peer = proto::kMaxSessionsPerPeer;
};

// Rows of one step: as many as a chunk of kMaxChunkBytes holds in f32, between 1 and
// kMaxRowsPerStep.
std::uint32_t rows_per_step(std::uint32_t hidden);

}  // namespace shoal::node
