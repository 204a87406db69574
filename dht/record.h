// SPDX-License-Identifier: Apache-2.0
// A node's signed, expiring record: the decoded value, signing, and total verification of records
// from outside. Pure functions. Format: proto/record.proto. Every field is bounded before it is
// used.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "dht/key.h"
#include "identity/identity.h"
#include "proto/address.h"
#include "proto/limits.h"
#include "proto/offer.h"
#include "proto/record.pb.h"

namespace shoal::dht {

struct Record {
  identity::PublicKey public_key;
  std::uint64_t sequence = 0;
  std::uint32_t ttl_ms = 0;
  proto::Offer offer;
  proto::Load load;
  std::vector<proto::Address>
      addresses;  // the likeliest first; those of unknown kinds are left out
  std::uint32_t version_major = proto::kProtocolMajor;
  std::uint32_t version_minor = proto::kProtocolMinor;

  proto::PeerId peer_id() const { return identity::peer_id_of(public_key); }
};

wire::SignedRecord sign_record(const identity::Identity& identity,
                               Record record);  // fills public_key; CHECKs its bounds

// Version, signature, sizes, ranges, finite numbers; INVALID_ARGUMENT says what is wrong.
// UNAUTHENTICATED:
// the signature alone, which no honest peer passes on.
absl::StatusOr<Record> verify_record(const wire::SignedRecord& message);

// The same without the signature: only for what verify_record() has accepted before.
absl::StatusOr<Record> decode_record(const wire::SignedRecord& message);

// All keys under which a record may be stored: the model list, the model's index, each block of its
// span.
std::vector<Key> keys_of(const identity::SwarmId& swarm, const Record& record);

}  // namespace shoal::dht
