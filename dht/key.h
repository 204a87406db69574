// SPDX-License-Identifier: Apache-2.0
// 256-bit DHT keys, the XOR metric, and the keys under which a node's record is found. Pure
// functions.
#pragma once

#include <optional>

#include "proto/types.h"

namespace shoal::dht {

using Key = proto::FixedBytes<32, struct KeyTag>;

// A peer's place in the key space is its PeerId.
Key key_of(const proto::PeerId& peer);

// Scope of a swarm: equal names in different swarms give different keys. All zero for a swarm
// without a key.
using SwarmId = proto::FixedBytes<32, struct SwarmIdTag>;

Key models_key(const SwarmId& swarm);                             // who serves anything at all
Key model_key(const SwarmId& swarm, const proto::Digest& model);  // index: every node of one model
Key block_key(const SwarmId& swarm, const proto::Digest& model, proto::BlockIndex block);

// a XOR b, compared as big-endian numbers.
Key distance(const Key& a, const Key& b);
bool closer(const Key& target, const Key& a,
            const Key& b);  // is a strictly closer to target than b
// Number of leading zero bits of a XOR b; 256 for equal keys.
int common_prefix(const Key& a, const Key& b);

}  // namespace shoal::dht
