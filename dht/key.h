// SPDX-License-Identifier: Apache-2.0
// 256-bit DHT keys, the XOR metric, and the keys under which a node's record is found. Pure
// functions.
#pragma once

#include <bit>
#include <cstdint>

#include "identity/swarm_key.h"
#include "proto/types.h"

namespace shoal::dht {

using Key = proto::FixedBytes<32, struct KeyTag>;

// A peer's place in the key space is its PeerId.
inline Key key_of(const proto::PeerId& peer) { return {peer.bytes}; }

Key models_key(const identity::SwarmId& swarm);  // who serves anything at all
Key model_key(const identity::SwarmId& swarm,
              const proto::Digest& model);  // index: every node of one model
Key block_key(const identity::SwarmId& swarm, const proto::Digest& model, proto::BlockIndex block);

// a XOR b, compared as big-endian numbers.
inline Key distance(const Key& a, const Key& b) {
  Key result;
  for (std::size_t i = 0; i < result.bytes.size(); ++i) result.bytes[i] = a.bytes[i] ^ b.bytes[i];
  return result;
}

// Is a strictly closer to target than b?
inline bool closer(const Key& target, const Key& a, const Key& b) {
  for (std::size_t i = 0; i < Key::kSize; i += 8) {
    if (a.word(i) != b.word(i)) return (target.word(i) ^ a.word(i)) < (target.word(i) ^ b.word(i));
  }
  return false;
}

// Number of leading zero bits of a XOR b; 256 for equal keys.
inline int common_prefix(const Key& a, const Key& b) {
  for (std::size_t i = 0; i < Key::kSize; i += 8) {
    const std::uint64_t difference = a.word(i) ^ b.word(i);
    if (difference != 0) return static_cast<int>(8 * i) + std::countl_zero(difference);
  }
  return 256;
}

}  // namespace shoal::dht
