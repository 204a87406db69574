// SPDX-License-Identifier: Apache-2.0
// Records: verification of any bytes, and a store that is fed records which are properly signed and
// say what the fuzzer wants. Input: chunks, each with a byte of flags: how it becomes a record, who
// brings it, and when.
#include "dht/record.h"
#include "dht/record_store.h"
#include "proto/limits.h"
#include "tests/fuzz/dht_peer.h"
#include "tests/sim/model_primitives.h"

namespace {

using namespace shoal;
using namespace shoal::dht;

// Ten times as many inputs; libsodium is not what is sought for faults.
const bool kModel = (sim::choose_crypto(sim::Crypto::kModel), true);

enum Flag : std::uint8_t {
  kWhole = 1,
  kOtherOwner = 2,
  kByAnother = 4,
  kLater = 8,
  kWrongKey = 16
};
constexpr std::string_view kDomain = "shoal-record-v1";

// The payload with the owner's key in it, signed: what a hostile owner can make.
wire::SignedRecord signed_by(const identity::Identity& owner, std::string_view payload) {
  wire::SignedRecord result;
  wire::Record record;
  if (record.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    record.set_public_key(owner.public_key().to_bytes());
    result.set_payload(record.SerializeAsString());
  } else {
    result.set_payload(std::string(payload));
  }
  result.set_signature(owner.sign(kDomain, result.payload()).to_bytes());
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  StoreConfig config;
  config.max_records = 2;
  config.max_index_keys = 64;
  RecordStore store(identity::SwarmId{}, config);
  TimePoint now = kStart;
  for (int i = 0; i < 12 && !input.empty(); ++i) {
    const std::uint8_t flags = input.byte();
    const std::string_view bytes = input.chunk();
    wire::SignedRecord message;
    if ((flags & kWhole) != 0) {
      if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) continue;
    } else {
      message = signed_by((flags & kOtherOwner) != 0 ? peer_identity() : victim_identity(), bytes);
    }
    const auto record = verify_record(message);
    if (record.ok()) {
      CHECK(decode_record(message).ok());
      CHECK(record->ttl_ms <= proto::kMaxRecordTtlMs && record->ttl_ms > 0);
      CHECK(record->offer.span.end <= record->offer.block_count &&
            record->addresses.size() <= proto::kMaxRecordAddresses);
      CHECK(record->offer.model_name.size() <= proto::kMaxNameBytes);
      CHECK(record->version_major == proto::kProtocolMajor);
      for (const proto::Address& address : record->addresses)
        CHECK(address.endpoint.is_usable() && address.relay != record->peer_id());
    }
    std::vector<Key> keys = {models_key({})};
    if (record.ok()) keys = keys_of({}, *record);
    if ((flags & kWrongKey) != 0 || keys.size() > 4) keys.resize(1);
    if ((flags & kWrongKey) != 0) keys[0].bytes[0] ^= 1;
    Contact sender = contact_of(victim_identity(), kPeerAt);
    if (record.ok()) {
      sender = Contact{record->peer_id(), kPeerAt, record->public_key};
      if ((flags & kByAnother) != 0) sender = contact_of(identity::identity_of(9), kElsewhere);
    }
    const PutResult result = store.put(message, sender, keys, 100'000, now);
    CHECK(!is_accepted(result) || record.ok()) << "stored without proof";
    CHECK(!is_accepted(result) || (flags & kWrongKey) == 0) << "stored under another key";
    CHECK(store.size() <= 2 && store.index_size() <= 64);
    if (is_accepted(result)) {
      const RecordStore::Entry* entry = store.get(record->peer_id());
      CHECK(entry != nullptr && entry->sequence >= record->sequence);
      CHECK(entry->remaining_ttl_ms(now) <= proto::kMaxRecordTtlMs);
      // The same again changes nothing.
      const PutResult again = store.put(message, sender, keys, 100'000, now);
      CHECK(again != PutResult::kStored) << to_string(again);
      for (const Key& key : keys) {
        bool shown = false;
        for (const RecordStore::Entry* found : store.find(key, now)) {
          CHECK(verify_record(found->message).ok());
          shown |= found->subject == record->peer_id();
        }
        CHECK(shown) << "accepted, and not to be found";
      }
    }
    if ((flags & kLater) != 0) {
      now += seconds(1 + flags);
      store.expire(now);
      const auto next = store.next_expiry();
      CHECK(!next || *next > now);
    }
  }
  return 0;
}
