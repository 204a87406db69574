// SPDX-License-Identifier: Apache-2.0
// What others ask of us. An answer goes out on the session by which the question came, so its
// address is proven.
#include "dht/address.h"
#include "dht/kademlia.h"

namespace shoal::dht {
namespace {

// Contacts beside records in a first page: enough for a lookup to go on, and two records still fit.
constexpr std::size_t kContactsBesideRecords = 8;
// Request id, flags and field headers of an answer.
constexpr std::size_t kAnswerOverhead = 40;
// Tag and length of one repeated message.
constexpr std::size_t kItemOverhead = 3;
// Keys of one store request; one is enough, since a held record answers for all its keys.
constexpr int kMaxStoreKeys = 8;

}  // namespace

void Kademlia::answer(const Contact& from, const wire::DhtMessage& message, TimePoint now) {
  wire::DhtMessage reply;
  reply.set_request_id(message.request_id());
  switch (message.body_case()) {
    case wire::DhtMessage::kPing:
      reply.mutable_pong()->set_observed_address(encode_address(from.endpoint));
      break;
    case wire::DhtMessage::kFind:
      answer_find(from, message.find(), reply, now);
      break;
    case wire::DhtMessage::kStore:
      answer_store(from, message.store(), reply, now);
      break;
    default:
      return;
  }
  if (reply.body_case() == wire::DhtMessage::BODY_NOT_SET) {
    ++malformed_;
    return;
  }
  send(from, std::move(reply), now);
}

void Kademlia::answer_find(const Contact& from, const wire::Find& find, wire::DhtMessage& reply,
                           TimePoint now) {
  const auto target = Key::from_bytes(find.target());
  if (!target) return;
  wire::Found& found = *reply.mutable_found();
  std::vector<const RecordStore::Entry*> records;
  if (find.want_records()) records = store_.find(*target, now);
  std::size_t room = kMaxAnswerBytes - kAnswerOverhead;
  if (find.cursor() == 0) {
    std::size_t limit = records.empty() ? config_.lookup.k : kContactsBesideRecords;
    for (const RoutingTable::Entry* entry :
         table_.closest(*target, config_.lookup.k + 1, RoutingTable::Which::kTellable)) {
      if (limit == 0) break;
      if (entry->contact.peer == from.peer) continue;  // nobody needs to hear of itself
      wire::Contact contact;
      contact.set_peer_id(entry->contact.peer.to_bytes());
      contact.set_address(encode_address(entry->contact.endpoint));
      const std::size_t size = contact.ByteSizeLong() + kItemOverhead;
      if (size > room) break;
      room -= size;
      --limit;
      *found.add_closer() = std::move(contact);
    }
  }
  found.set_total_records(static_cast<std::uint32_t>(records.size()));
  for (std::size_t i = find.cursor(); i < records.size(); ++i) {
    wire::StoredRecord stored;
    *stored.mutable_record() = records[i]->message;
    stored.set_remaining_ttl_ms(records[i]->remaining_ttl_ms(now));
    const std::size_t size = stored.ByteSizeLong() + kItemOverhead;
    if (size > room) {
      found.set_next_cursor(static_cast<std::uint32_t>(i));
      break;
    }
    room -= size;
    *found.add_records() = std::move(stored);
  }
}

void Kademlia::answer_store(const Contact& from, const wire::Store& store, wire::DhtMessage& reply,
                            TimePoint now) {
  if (store.keys_size() < 1 || store.keys_size() > kMaxStoreKeys) return;
  std::vector<Key> keys;
  for (const std::string& bytes : store.keys()) {
    const auto key = Key::from_bytes(bytes);
    if (!key) return;
    keys.push_back(*key);
  }
  const PutResult result =
      store_.put(store.record(), from, keys, store.remaining_ttl_ms(), now);
  wire::Stored& stored = *reply.mutable_stored();
  for (std::size_t i = 0; i < keys.size(); ++i) stored.add_accepted(is_accepted(result));
  if (!is_accepted(result)) stored.set_reason(std::string(to_string(result)));
}

}  // namespace shoal::dht
