// SPDX-License-Identifier: Apache-2.0
// Two running nodes with one identity: a copied key file, a cloned disk, a service that was started
// on two machines. Each would hide the other's record. Finds the other one, and decides which of
// the two goes on: the one that began first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dht/record.h"
#include "net/channel_pool.h"
#include "proto/address.h"

namespace shoal::node {

// Names one run of a node: when it began, in microseconds since 1970. Two runs of one identity
// never have the same in practice, and each can tell which is older.
std::uint64_t run_of_now();

struct Twin {
  std::uint64_t run = 0;  // 0: of a version that does not tell
  proto::Address address;
};

// Asks whoever answers at one of `addresses` with our own identity whether it is us. nullopt:
// nobody does, or it is us. Waits at most timeout_ms; where nothing listens, hardly at all.
std::optional<Twin> find_twin(net::ChannelPool& channels, const proto::PeerId& self,
                              const std::vector<proto::Address>& addresses, std::uint64_t our_run,
                              std::uint32_t timeout_ms);

// What to do about the record that the swarm has of us. Pure.
enum class OwnRecord {
  kOurs,      // what we announced, or older: nothing to do
  kMissing,   // nobody has it any more: a twin withdrew it, or its holders are gone
  kReplaced,  // newer than what we announced: another run made it
};
OwnRecord look_at_own_record(const dht::Record* found, std::uint64_t announced_sequence);

// The sentence for whoever started the second of two.
absl::Status twin_error(const proto::PeerId& self, const Twin& twin);
// Whether a status is such a sentence: then another identity helps.
bool is_twin_error(const absl::Status& status);

}  // namespace shoal::node
