// SPDX-License-Identifier: Apache-2.0
#include "dht/key.h"

#include <bit>
#include <string>

#include "dht/sodium.h"

namespace shoal::dht {
namespace {

// SHA-256 over a fixed-length prefix, the swarm and the kind: no two kinds can ever collide.
Key hashed(const SwarmId& swarm, char kind, std::string_view rest) {
  std::string text = "shoal-key-v1";
  text += swarm.to_bytes();
  text += kind;
  text += rest;
  Key key;
  key.bytes = sha256(text);
  return key;
}

}  // namespace

Key key_of(const proto::PeerId& peer) {
  Key key;
  key.bytes = peer.bytes;
  return key;
}

Key models_key(const SwarmId& swarm) { return hashed(swarm, 'l', {}); }

Key model_key(const SwarmId& swarm, const proto::Digest& model) {
  return hashed(swarm, 'm', model.to_bytes());
}

Key block_key(const SwarmId& swarm, const proto::Digest& model, proto::BlockIndex block) {
  std::string rest = model.to_bytes();
  for (int shift = 24; shift >= 0; shift -= 8) rest += static_cast<char>(block >> shift & 0xff);
  return hashed(swarm, 'b', rest);
}

Key distance(const Key& a, const Key& b) {
  Key result;
  for (std::size_t i = 0; i < result.bytes.size(); ++i) result.bytes[i] = a.bytes[i] ^ b.bytes[i];
  return result;
}

bool closer(const Key& target, const Key& a, const Key& b) {
  for (std::size_t i = 0; i < target.bytes.size(); ++i) {
    const int da = target.bytes[i] ^ a.bytes[i];
    const int db = target.bytes[i] ^ b.bytes[i];
    if (da != db) return da < db;
  }
  return false;
}

int common_prefix(const Key& a, const Key& b) {
  for (std::size_t i = 0; i < a.bytes.size(); ++i) {
    const auto difference = static_cast<std::uint8_t>(a.bytes[i] ^ b.bytes[i]);
    if (difference != 0) return static_cast<int>(i) * 8 + std::countl_zero(difference);
  }
  return 256;
}

}  // namespace shoal::dht
