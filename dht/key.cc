// SPDX-License-Identifier: Apache-2.0
#include "dht/key.h"

#include <string>

#include "identity/sodium.h"

namespace shoal::dht {
namespace {

// SHA-256 over a fixed-length prefix, the swarm and the kind: no two kinds can ever collide.
Key hashed(const identity::SwarmId& swarm, char kind, std::string_view rest) {
  std::string text = "shoal-key-v1";
  text += swarm.to_bytes();
  text += kind;
  text += rest;
  Key key;
  key.bytes = identity::sha256(text);
  return key;
}

}  // namespace

Key models_key(const identity::SwarmId& swarm) { return hashed(swarm, 'l', {}); }

Key model_key(const identity::SwarmId& swarm, const proto::Digest& model) {
  return hashed(swarm, 'm', model.to_bytes());
}

Key block_key(const identity::SwarmId& swarm, const proto::Digest& model, proto::BlockIndex block) {
  std::string rest = model.to_bytes();
  for (int shift = 24; shift >= 0; shift -= 8) rest += static_cast<char>(block >> shift & 0xff);
  return hashed(swarm, 'b', rest);
}

}  // namespace shoal::dht
