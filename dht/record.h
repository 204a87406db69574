// SPDX-License-Identifier: Apache-2.0
// A node's signed, expiring record: the decoded value, signing, and total verification of records
// from outside. Pure functions. Format: proto/record.proto. Every field is bounded before it is
// used.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dht/key.h"
#include "identity/identity.h"
#include "proto/endpoint.h"
#include "proto/record.pb.h"

namespace shoal::dht {

struct Record {
  identity::PublicKey public_key;
  std::uint64_t sequence = 0;
  std::uint32_t ttl_ms = 0;
  proto::NodeState state = proto::NodeState::kOffline;
  proto::Digest model_digest;
  std::string model_name;
  std::uint32_t block_count = 0;
  proto::Span span;
  std::string compute;
  float block_step_us = 0;
  std::uint32_t free_kv_positions = 0;
  std::uint32_t queue_depth = 0;
  std::vector<proto::Endpoint> addresses;
  std::string public_name;
  std::uint32_t version_major = 0;
  std::uint32_t version_minor = 0;

  proto::PeerId peer_id() const { return identity::peer_id_of(public_key); }
};

wire::SignedRecord sign_record(const identity::Identity& identity,
                               Record record);  // fills public_key; CHECKs its bounds

// Signature, sizes, ranges, finite numbers; INVALID_ARGUMENT says what is wrong. UNAUTHENTICATED:
// the signature alone, which no honest peer passes on.
absl::StatusOr<Record> verify_record(const wire::SignedRecord& message);

// The same without the signature: only for what verify_record() has accepted before.
absl::StatusOr<Record> decode_record(const wire::SignedRecord& message);

// All keys under which a record may be stored: the model list, the model's index, each block of its
// span.
std::vector<Key> keys_of(const identity::SwarmId& swarm, const Record& record);

}  // namespace shoal::dht
