// SPDX-License-Identifier: Apache-2.0
// By what a client and the hops of its sessions know pages of tokens again: a chain of hashes for
// each hop, so that equal hashes mean equal tokens from the beginning on, of the same model, in the
// same blocks, behind blocks that compute in the same numerics. Nobody who does not have the salt
// can make or guess them. Pure functions. docs/protocol.md, "Prefixes".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "client/swarm/route.h"
#include "identity/identity.h"
#include "proto/types.h"

namespace shoal::client {

using PrefixSalt = proto::FixedBytes<32, struct PrefixSaltTag>;
// A client's own: from its secret key.
PrefixSalt prefix_salt_of(const identity::Identity& identity);
// Of all who use this name, in any swarm.
PrefixSalt prefix_salt_named(std::string_view name);

using PrefixSeed = proto::FixedBytes<32, struct PrefixSeedTag>;
// For a hop that runs `span`; `before`: what the blocks 0 to span.begin compute in.
PrefixSeed prefix_seed(const PrefixSalt& salt, const proto::Digest& model, proto::Span span,
                       std::span<const proto::Numerics> before);

// proto::PageHash::kSize bytes for each whole page of `ids`.
std::string page_hashes(const PrefixSeed& seed, std::span<const std::int32_t> ids);

}  // namespace shoal::client
