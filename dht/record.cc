// SPDX-License-Identifier: Apache-2.0
#include "dht/record.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "proto/limits.h"
#include "proto/name.h"
#include "proto/version.h"

namespace shoal::dht {
namespace {

constexpr std::string_view kRecordDomain = "shoal-record-v1";

wire::Record to_wire(const Record& record) {
  wire::Record out;
  out.set_public_key(record.public_key.to_bytes());
  out.set_sequence(record.sequence);
  out.set_ttl_ms(record.ttl_ms);
  *out.mutable_offer() = proto::to_wire(record.offer);
  *out.mutable_load() = proto::to_wire(record.load);
  for (const proto::Address& address : record.addresses)
    out.add_addresses(proto::encode_address(address));
  out.set_version_major(record.version_major);
  out.set_version_minor(record.version_minor);
  return out;
}

absl::Status bad(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("record refused: ", why));
}

// Those of kinds that we know.
absl::StatusOr<std::vector<proto::Address>> addresses_of(const wire::Record& in,
                                                         const identity::PublicKey& subject) {
  if (in.addresses_size() > static_cast<int>(proto::kMaxRecordAddresses))
    return bad("it has too many addresses");
  std::vector<proto::Address> addresses;
  for (const std::string& bytes : in.addresses()) {
    if (bytes.empty() || bytes.size() > proto::kMaxAddressBytes)
      return bad("it has an address of an impossible size");
    if (!proto::is_known_address_kind(bytes)) continue;
    const auto address = proto::decode_address(bytes);
    if (!address) return bad("it has an address nobody can reach");
    if (address->relay && *address->relay == identity::peer_id_of(subject))
      return bad("it is its own relay");
    addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace

wire::SignedRecord sign_record(const identity::Identity& identity, Record record) {
  record.public_key = identity.public_key();
  wire::Record fields = to_wire(record);
  wire::SignedRecord result;
  result.set_payload(fields.SerializeAsString());
  result.set_signature(std::string(identity::Signature::kSize, '\0'));
  // Long addresses and two full names do not fit together: the names, which are for people only,
  // give way.
  wire::Offer& offer = *fields.mutable_offer();
  for (std::string* name : {offer.mutable_model_name(), offer.mutable_public_name()}) {
    const std::size_t size = result.ByteSizeLong();
    if (size <= proto::kMaxRecordBytes) break;
    const std::size_t surplus = size - proto::kMaxRecordBytes;
    *name = proto::clean_name(*name, name->size() - std::min(name->size(), surplus));
    result.set_payload(fields.SerializeAsString());
  }
  CHECK(result.ByteSizeLong() <= proto::kMaxRecordBytes) << result.ByteSizeLong() << " bytes";
  // We never sign what others refuse.
  const absl::Status status = decode_record(result).status();
  CHECK(status.ok()) << status.ToString();
  result.set_signature(identity.sign(kRecordDomain, result.payload()).to_bytes());
  return result;
}

absl::StatusOr<Record> decode_record(const wire::SignedRecord& message) {
  if (message.payload().size() + message.signature().size() > proto::kMaxRecordBytes)
    return bad("it is too long");
  wire::Record in;
  if (!in.ParseFromString(message.payload())) return bad("it is malformed");
  wire::Version version;
  version.set_major(in.version_major());
  version.set_minor(in.version_minor());
  if (const auto other = proto::why_version_refused(version, "it speaks", "this program speaks"))
    return bad(*other);
  const auto public_key = identity::PublicKey::from_bytes(in.public_key());
  if (!public_key) return bad("its key has the wrong size");
  if (in.sequence() == 0) return bad("its sequence number is 0");
  if (in.ttl_ms() == 0 || in.ttl_ms() > proto::kMaxRecordTtlMs)
    return bad("its ttl is out of range");
  auto offer = proto::from_wire(in.offer());
  if (!offer.ok()) return bad(std::string(offer.status().message()));
  const auto load = proto::from_wire(in.load());
  if (!load.ok()) return bad(std::string(load.status().message()));
  if (offer->span.empty() && load->state != proto::NodeState::kOffline)
    return bad("its span is empty");
  auto addresses = addresses_of(in, *public_key);
  if (!addresses.ok()) return addresses.status();
  return Record{*public_key, in.sequence(),         in.ttl_ms(),        *std::move(offer),
                *load,       *std::move(addresses), in.version_major(), in.version_minor()};
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
  std::vector<Key> keys = {models_key(swarm), model_key(swarm, record.offer.model_digest)};
  for (proto::BlockIndex block = record.offer.span.begin; block < record.offer.span.end; ++block) {
    keys.push_back(block_key(swarm, record.offer.model_digest, block));
  }
  return keys;
}

}  // namespace shoal::dht
