// SPDX-License-Identifier: Apache-2.0
// The 32 random bytes that make a swarm private, kept in a file of mode 0600 (one line:
// "shoal-swarm-1 " + 64 hex).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proto/types.h"

namespace shoal::identity {

using SwarmKey = proto::FixedBytes<32, struct SwarmKeyTag>;
// Scope of a swarm: equal names in different swarms give different keys. All zero for a swarm
// without a key.
using SwarmId = proto::FixedBytes<32, struct SwarmIdTag>;

SwarmKey generate_swarm_key();
// Both name the file and the way out; write refuses to overwrite, read refuses files that others
// can read.
absl::Status write_swarm_key(const std::string& path, const SwarmKey& key);
absl::StatusOr<SwarmKey> read_swarm_key(const std::string& path);
// BLAKE2b of the key: scopes DHT keys without showing the key.
SwarmId swarm_id_of(const SwarmKey& key);

}  // namespace shoal::identity
