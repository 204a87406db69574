// SPDX-License-Identifier: Apache-2.0
// The 32 random bytes that make a swarm private, kept in a file of mode 0600 (one line:
// "shoal-swarm-1 " + 64 hex).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "dht/key.h"

namespace shoal::dht {

using SwarmKey = proto::FixedBytes<32, struct SwarmKeyTag>;

SwarmKey generate_swarm_key();
// Both name the file and the way out; write refuses to overwrite, read refuses files that others
// can read.
absl::Status write_swarm_key(const std::string& path, const SwarmKey& key);
absl::StatusOr<SwarmKey> read_swarm_key(const std::string& path);
// BLAKE2b of the key: scopes DHT keys without showing the key.
SwarmId swarm_id_of(const SwarmKey& key);

}  // namespace shoal::dht
