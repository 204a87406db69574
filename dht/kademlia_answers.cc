// SPDX-License-Identifier: Apache-2.0
// What others ask of us. An answer goes out the way the request came: in its session, or as the
// reply to a question, which has less room while the asker's address is not proven.
#include <algorithm>

#include "base/check.h"
#include "dht/kademlia.h"
#include "dht/message_arena.h"
#include "dht/tunnel_endpoint.h"
#include "proto/endpoint.h"

namespace shoal::dht {
namespace {

// Contacts beside records in a first page: enough for a lookup to go on, and two records still fit.
constexpr std::size_t kContactsBesideRecords = 8;
// More than ever fit into one datagram: no record is shorter than its key and signature.
constexpr std::size_t kRecordsPerPage = 12;
// Request id, flags and field headers of an answer.
constexpr std::size_t kAnswerOverhead = 40;
// Tag and length of one repeated message.
constexpr std::size_t kItemOverhead = 3;
// Keys of one store request; one is enough, since a held record answers for all its keys.
constexpr int kMaxStoreKeys = 8;

}  // namespace

void Kademlia::answer(const Sessions::Delivery& asked, const wire::DhtMessage& message,
                      TimePoint now) {
  MessageArena<> arena;
  wire::DhtMessage& reply = arena.make();
  reply.set_request_id(message.request_id());
  switch (message.body_case()) {
    case wire::DhtMessage::kPing:
      reply.mutable_pong();
      // What comes through a connection does not show at which address its sender gets datagrams.
      if (!is_tunnel(asked.from.endpoint))
        reply.mutable_pong()->set_observed_address(proto::encode_endpoint(asked.from.endpoint));
      break;
    case wire::DhtMessage::kFind:
      answer_find(asked, message.find(), reply, now);
      break;
    case wire::DhtMessage::kStore:
      answer_store(asked.from, message.store(), reply, now);
      break;
    case wire::DhtMessage::kDialBack:
      if (answer_dial_back(asked, message, now)) return;
      reply.mutable_dialed_back();
      break;
    case wire::DhtMessage::kDial:
      reply.mutable_dialed()->set_accepted(answer_dial(asked.from, message.dial(), now));
      break;
    default:
      return;
  }
  if (reply.body_case() == wire::DhtMessage::BODY_NOT_SET) {
    return drops_.add(Drop::kBody);
  }
  respond(asked, reply, now);
}

void Kademlia::respond(const Sessions::Delivery& asked, wire::DhtMessage& reply, TimePoint now) {
  reply.set_client_mode(is_client());
  const std::string bytes = reply.SerializeAsString();
  CHECK(bytes.size() <= asked.room) << bytes.size() << " of " << asked.room;
  out_.add(type_of(reply), bytes.size());
  sessions_.respond(asked, bytes, now);
}

void Kademlia::answer_find(const Sessions::Delivery& asked, const wire::Find& find,
                           wire::DhtMessage& reply, TimePoint now) {
  const auto target = Key::from_bytes(find.target());
  if (!target) return;
  wire::Found& found = *reply.mutable_found();
  RecordStore::Page page;
  if (find.want_records())
    page = store_.page(*target, find.order(), find.cursor(), kRecordsPerPage, now);
  std::size_t room = asked.room - std::min(asked.room, kAnswerOverhead);
  if (find.cursor() == 0) {
    std::size_t limit = page.total == 0 ? config_.lookup.k : kContactsBesideRecords;
    for (const RoutingTable::Entry* entry :
         table_.closest(*target, config_.lookup.k + 1, RoutingTable::Which::kTellable)) {
      if (limit == 0) break;
      // Nobody needs to hear of itself.
      if (entry->contact.peer == asked.from.peer || entry->contact.key == identity::PublicKey{})
        continue;
      wire::Contact& contact = *found.add_closer();
      contact.set_public_key(entry->contact.key.bytes.data(), entry->contact.key.bytes.size());
      contact.set_address(proto::encode_endpoint(entry->contact.endpoint));
      const std::size_t size = contact.ByteSizeLong() + kItemOverhead;
      if (size > room) {
        found.mutable_closer()->RemoveLast();
        break;
      }
      room -= size;
      --limit;
    }
  }
  found.set_total_records(static_cast<std::uint32_t>(page.total));
  std::size_t next = find.cursor();
  for (const RecordStore::Entry* entry : page.entries) {
    wire::StoredRecord& stored = *found.add_records();
    *stored.mutable_record() = entry->message;
    stored.set_remaining_ttl_ms(entry->remaining_ttl_ms(now));
    const std::size_t size = stored.ByteSizeLong() + kItemOverhead;
    if (size > room) {
      found.mutable_records()->RemoveLast();
      break;
    }
    room -= size;
    ++next;
  }
  if (next < page.total) found.set_next_cursor(static_cast<std::uint32_t>(next));
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
  wire::Stored& stored = *reply.mutable_stored();
  if (is_client()) {  // nobody would find it here
    for (std::size_t i = 0; i < keys.size(); ++i) stored.add_accepted(false);
    stored.set_reason("unreachable");
    return;
  }
  const PutResult result = store_.put(store.record(), from, keys, store.remaining_ttl_ms(), now);
  if (result == PutResult::kForged) punish(from, now);
  for (std::size_t i = 0; i < keys.size(); ++i) stored.add_accepted(is_accepted(result));
  if (!is_accepted(result)) stored.set_reason(std::string(to_string(result)));
}

}  // namespace shoal::dht
