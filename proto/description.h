// SPDX-License-Identifier: Apache-2.0
// A node's answer when it is asked for itself (Describe): what its record says, as of now, and the
// bounds of a session. Plain value; total conversion from and to proto/describe.proto.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "proto/describe.pb.h"
#include "proto/limits.h"
#include "proto/offer.h"

namespace shoal::proto {

// The places of a node, and how many are taken.
struct Occupancy {
  std::uint32_t sessions = 0;
  std::uint32_t max_sessions = 0;
  std::uint32_t total_kv_positions = 0;
};

struct Serving {
  Offer offer;
  Occupancy occupancy;
  std::uint32_t hidden = 0;
  std::uint32_t max_rows_per_step = 0;
  std::uint32_t max_positions = 0;  // of one session
  double head_us = 0;               // one row through the head, measured; 0: it serves none
};

struct Description {
  PeerId peer;
  std::uint64_t run = 0;  // when it began, microseconds since 1970
  Load load;
  std::optional<Serving> serving;  // absent: it has not loaded its blocks yet
  std::uint32_t version_minor = kProtocolMinor;
};

wire::DescribeReply to_wire(const Description& description);
// FAILED_PRECONDITION: another protocol version; INVALID_ARGUMENT says what is wrong. Both begin
// with what follows "it ".
absl::StatusOr<Description> from_wire(const wire::DescribeReply& in);

}  // namespace shoal::proto
