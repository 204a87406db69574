// SPDX-License-Identifier: Apache-2.0
#include "dht/record.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "dht/address.h"
#include "dht/record_limits.h"
#include "identity/name.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

wire::Record to_wire(const Record& record) {
  wire::Record out;
  out.set_public_key(record.public_key.to_bytes());
  out.set_sequence(record.sequence);
  out.set_ttl_ms(record.ttl_ms);
  out.set_state(static_cast<std::uint32_t>(record.state));
  out.set_model_digest(record.model_digest.to_bytes());
  out.set_model_name(record.model_name);
  out.set_block_count(record.block_count);
  out.set_span_begin(record.span.begin);
  out.set_span_end(record.span.end);
  out.set_compute(record.compute);
  out.set_block_step_us(record.block_step_us);
  out.set_free_kv_positions(record.free_kv_positions);
  out.set_queue_depth(record.queue_depth);
  for (const proto::Endpoint& address : record.addresses)
    out.add_addresses(encode_address(address));
  out.set_public_name(record.public_name);
  out.set_version_major(record.version_major);
  out.set_version_minor(record.version_minor);
  return out;
}

absl::Status bad(std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("record refused: ", std::string(why)));
}

// Every rule that does not need the signature. Shared by both ways, so that we never sign what
// others refuse.
absl::Status check_fields(const Record& record) {
  if (record.ttl_ms == 0 || record.ttl_ms > proto::kMaxRecordTtlMs)
    return bad("its ttl is out of range");
  if (record.sequence == 0) return bad("its sequence number is 0");
  if (record.block_count == 0 || record.block_count > kMaxModelBlocks)
    return bad("its block count is out of range");
  if (record.span.begin > record.span.end || record.span.end > record.block_count) {
    return bad("its span is not within the model");
  }
  if (record.span.empty() && record.state != proto::NodeState::kOffline)
    return bad("its span is empty");
  if (!std::isfinite(record.block_step_us) || record.block_step_us < 0)
    return bad("its step time is not a time");
  if (record.addresses.size() > kMaxRecordAddresses) return bad("it has too many addresses");
  for (const proto::Endpoint& address : record.addresses) {
    if (!address.is_usable()) return bad("it has an address nobody can reach");
  }
  const auto text_ok = [](std::string_view text, std::size_t limit) {
    return text.size() <= limit && identity::is_clean_name(text);
  };
  if (!text_ok(record.model_name, proto::kMaxNameBytes) ||
      !text_ok(record.public_name, proto::kMaxNameBytes) ||
      !text_ok(record.compute, kMaxComputeBytes)) {
    return bad("a name in it is too long or has control characters");
  }
  return absl::OkStatus();
}

}  // namespace

wire::SignedRecord sign_record(const identity::Identity& identity, Record record) {
  record.public_key = identity.public_key();
  record.model_name = identity::clean_name(record.model_name, proto::kMaxNameBytes);
  record.public_name = identity::clean_name(record.public_name, proto::kMaxNameBytes);
  const absl::Status status = check_fields(record);
  CHECK(status.ok()) << status.ToString();
  wire::SignedRecord result;
  result.set_payload(to_wire(record).SerializeAsString());
  result.set_signature(std::string(identity::Signature::kSize, '\0'));
  // Four addresses and two full names do not fit together: the names, which are for people only,
  // give way.
  for (std::string* name : {&record.model_name, &record.public_name}) {
    const std::size_t size = result.ByteSizeLong();
    if (size <= proto::kMaxRecordBytes) break;
    const std::size_t surplus = size - proto::kMaxRecordBytes;
    *name = identity::clean_name(*name, name->size() - std::min(name->size(), surplus));
    result.set_payload(to_wire(record).SerializeAsString());
  }
  CHECK(result.ByteSizeLong() <= proto::kMaxRecordBytes) << result.ByteSizeLong() << " bytes";
  result.set_signature(identity.sign(kRecordDomain, result.payload()).to_bytes());
  return result;
}

absl::StatusOr<Record> decode_record(const wire::SignedRecord& message) {
  if (message.payload().size() + message.signature().size() > proto::kMaxRecordBytes)
    return bad("it is too long");
  wire::Record in;
  if (!in.ParseFromString(message.payload())) return bad("it is malformed");
  const auto public_key = identity::PublicKey::from_bytes(in.public_key());
  const auto digest = proto::Digest::from_bytes(in.model_digest());
  if (!public_key || !digest) return bad("its key or digest has the wrong size");
  if (in.state() > static_cast<std::uint32_t>(proto::NodeState::kDraining))
    return bad("its state is unknown");
  Record record;
  record.public_key = *public_key;
  record.sequence = in.sequence();
  record.ttl_ms = in.ttl_ms();
  record.state = static_cast<proto::NodeState>(in.state());
  record.model_digest = *digest;
  record.model_name = in.model_name();
  record.block_count = in.block_count();
  record.span = {in.span_begin(), in.span_end()};
  record.compute = in.compute();
  record.block_step_us = in.block_step_us();
  record.free_kv_positions = in.free_kv_positions();
  record.queue_depth = in.queue_depth();
  if (in.addresses_size() > static_cast<int>(kMaxRecordAddresses))
    return bad("it has too many addresses");
  for (const std::string& bytes : in.addresses()) {
    const auto address = decode_address(bytes);
    if (!address) return bad("it has an address nobody can reach");
    record.addresses.push_back(*address);
  }
  record.public_name = in.public_name();
  record.version_major = in.version_major();
  record.version_minor = in.version_minor();
  if (const absl::Status status = check_fields(record); !status.ok()) return status;
  return record;
}

absl::StatusOr<Record> verify_record(const wire::SignedRecord& message) {
  absl::StatusOr<Record> record = decode_record(message);
  if (!record.ok()) return record;
  const auto signature = identity::Signature::from_bytes(message.signature());
  // Last, because it costs the most.
  if (!signature ||
      !identity::verify(record->public_key, kRecordDomain, message.payload(), *signature)) {
    return absl::UnauthenticatedError("not a valid record: its signature does not fit");
  }
  return record;
}

std::vector<Key> keys_of(const identity::SwarmId& swarm, const Record& record) {
  std::vector<Key> keys = {models_key(swarm), model_key(swarm, record.model_digest)};
  for (proto::BlockIndex block = record.span.begin; block < record.span.end; ++block) {
    keys.push_back(block_key(swarm, record.model_digest, block));
  }
  return keys;
}

}  // namespace shoal::dht
