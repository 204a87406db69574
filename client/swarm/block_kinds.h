// SPDX-License-Identifier: Apache-2.0
// What the blocks of a session are computed in, and what changed when the route did. Numerics that
// are equal give equal bits on every machine. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "client/swarm/route.h"
#include "proto/offer.h"

namespace shoal::client {

BlockKinds kinds_of(const Route& route);

// Not all blocks in the same numerics.
bool is_mixed(const BlockKinds& kinds);
// All blocks with weights in groups of integers, and activations too (proto::Compute::kI8).
bool is_quantized(const BlockKinds& kinds);

struct KindChange {
  proto::Span span;  // maximal
  proto::Numerics from, to;
  friend bool operator==(const KindChange&, const KindChange&) = default;
};
// By block; none where `before` is empty.
std::vector<KindChange> kind_changes(const BlockKinds& before, const BlockKinds& now);

// "i8/q4 (blocks 0..3), f32/bf16 (block 4)"; "i8/q4" where all are alike.
std::string describe_kinds(const BlockKinds& kinds);
// "blocks 4..7 changed from i8/q4 to f32/bf16"
std::string describe_changes(const std::vector<KindChange>& changes);

}  // namespace shoal::client
