// SPDX-License-Identifier: Apache-2.0
#include "dht/kademlia.h"

#include <algorithm>

#include "base/check.h"
#include "dht/message_arena.h"
#include "dht/tunnel_endpoint.h"

namespace shoal::dht {
namespace {

// Peers that fail within the time of a request: more do not fail of one cause each.
constexpr std::size_t kLastFailures = 512;
// A Pong with room for more than it has today.
constexpr std::size_t kPongBytes = 128;

bool is_answer(const wire::DhtMessage& message) {
  return message.has_pong() || message.has_found() || message.has_stored() ||
         message.has_dialed_back() || message.has_dialed();
}

bool may_be_question(const wire::DhtMessage& message) {
  return message.has_ping() || message.has_find();
}

// The members of a keyed swarm were invited: no limit per network, and none of them is a stranger.
KademliaConfig effective(KademliaConfig config) {
  if (config.swarm_key) {
    config.routing.diversity.enabled = false;
    config.store.limit_networks = false;
    config.reachability.enabled = false;
  }
  if (config.client_mode) config.reachability.enabled = false;
  return config;
}

}  // namespace

Kademlia::Kademlia(KademliaConfig config, const identity::Identity& self,
                   const identity::Random::Seed& seed, TimePoint now)
    : config_(effective(config)),
      self_(self),
      swarm_(config_.swarm_key ? identity::swarm_id_of(*config_.swarm_key) : identity::SwarmId{}),
      random_(seed),
      sessions_(self_, config_.swarm_key, config_.sessions, config_.client_mode, random_),
      table_(self_.peer_id(), config_.routing, random_),
      requests_(config_.requests, random_),
      store_(swarm_, config_.store),
      size_estimate_(config_.size_estimate),
      bans_(config_.bans),
      last_failures_(kLastFailures, config_.requests.hard),
      reachability_(config_.reachability.enabled
                        ? std::make_unique<Reachability>(config_.reachability, random_, now)
                        : nullptr),
      dial_help_(config_.reachability, random_),
      was_client_(config_.client_mode),
      latest_(now),
      last_refresh_(now),
      next_refresh_(now + config_.refresh_small),
      last_revisit_(now),
      next_revisit_(now + config_.rebootstrap_small) {}

// Body numbers of the .proto begin with ping at 3.
std::size_t Kademlia::type_of(const wire::DhtMessage& message) {
  return message.body_case() < wire::DhtMessage::kPing
             ? 0
             : static_cast<std::size_t>(message.body_case()) - wire::DhtMessage::kPing + 1;
}

Kademlia::Sender Kademlia::handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                                           TimePoint now) {
  ++datagrams_in_;
  bytes_in_ += bytes.size();
  // Port 0, or link-local of an interface that the address does not name.
  if (!from.is_usable() && !is_tunnel(from)) {
    drops_.add(Drop::kSource);
    return Sender::kUnknown;
  }
  if (bans_.has(from, now)) {
    drops_.add(Drop::kBanned);
    return Sender::kUnknown;
  }
  Sender sender = Sender::kUnknown;
  if (const auto delivery = sessions_.receive(bytes, from, now)) {
    sender = delivery->via == Sessions::Via::kQuestion ? Sender::kAsker : Sender::kPeer;
    deliver(*delivery, now);
  }
  settle(now);
  return sender;
}

void Kademlia::addresses_changed(TimePoint now) {
  observed_.clear();
  introduce_again(now);
  settle(now);
}

void Kademlia::set_tunnelled(bool tunnelled, TimePoint now) {
  tunnelled_ = tunnelled;
  notice_reachability(now);
  settle(now);
}

void Kademlia::punish(const Contact& offender, TimePoint now) {
  bans_.add(offender, now);
  table_.remove(offender.peer, now);
}

void Kademlia::deliver(const Sessions::Delivery& delivery, TimePoint now) {
  MessageArena<> arena;
  wire::DhtMessage& message = arena.make();
  const bool named = delivery.via == Sessions::Via::kSession;
  if (named && bans_.has(delivery.from.peer, now)) return drops_.add(Drop::kBanned);
  if (!message.ParseFromString(delivery.message)) {
    if (named) punish(delivery.from, now);
    return drops_.add(Drop::kBody);
  }
  in_.add(type_of(message), delivery.message.size());
  if (is_answer(message)) {
    if (delivery.via == Sessions::Via::kQuestion) return drops_.add(Drop::kBody);
    return on_answer(delivery.from, message, now);
  }
  if (config_.client_mode) return drops_.add(Drop::kClientMode);
  if (message.body_case() == wire::DhtMessage::BODY_NOT_SET ||
      delivery.via == Sessions::Via::kReply) {
    return drops_.add(Drop::kBody);
  }
  if (delivery.via == Sessions::Via::kQuestion) {
    if (reachability_ && !is_tunnel(delivery.from.endpoint)) {
      reachability_->heard(delivery.from.endpoint, message.ping().token(), now);
      notice_reachability(now);
    }
    // Of one that nobody signs for, only what changes nothing here.
    if (!may_be_question(message)) return drops_.add(Drop::kBody);
    return answer(delivery, message, now);
  }
  // Whoever comes through a connection is where nobody else could ask it, whatever it says.
  const bool is_client = message.client_mode() || is_tunnel(delivery.from.endpoint);
  if (is_client) {
    table_.remove(delivery.from.peer, now);
  } else {
    if (delivery.new_session) table_.greeted(delivery.from.peer, false);
    table_.heard(delivery.from, false, now);
  }
  answer(delivery, message, now);
  // After the answer, which the peer waits for.
  if (!is_client) greet_newcomer(delivery.from, now);
}

void Kademlia::greet_newcomer(const Contact& contact, TimePoint now) {
  const RoutingTable::Entry* entry = table_.find(contact.peer);
  if (entry == nullptr || entry->greeted) return;
  table_.greeted(contact.peer, true);
  if (table_.size() == 1) next_refresh_ = std::min(next_refresh_, now + milliseconds(100));
  queue_handovers(contact, now);
}

bool Kademlia::request(const Contact& to, wire::DhtMessage message, Purpose purpose, int resends,
                       TimePoint now) {
  if (bans_.has(to.peer, now) || bans_.has(to.endpoint, now)) return false;
  Requests::Request request;
  request.id = requests_.new_id();
  request.to = to;
  request.type = static_cast<std::uint8_t>(type_of(message));
  request.purpose = purpose;
  request.resends = resends;
  request.patient = purpose.kind != Purpose::Kind::kLookup &&
                    purpose.kind != Purpose::Kind::kPage && purpose.kind != Purpose::Kind::kStore;
  request.anonymous = to.key != identity::PublicKey{} && may_be_question(message) &&
                      purpose.kind != Purpose::Kind::kBootstrap &&
                      purpose.kind != Purpose::Kind::kIntroduction;
  request.answer_bytes = message.has_ping() ? kPongBytes : kMaxReplyBytes;
  request.handshake = !request.anonymous && !sessions_.is_direct(to, now);
  message.set_request_id(request.id);
  message.set_client_mode(is_client());
  request.bytes = message.SerializeAsString();
  CHECK(request.bytes.size() <= kMaxRequestBytes) << request.bytes.size();
  const std::uint64_t id = request.id;
  if (!requests_.add(std::move(request), now)) return false;
  dispatch(*requests_.find(id), now);
  return true;
}

void Kademlia::dispatch(const Requests::Request& request, TimePoint now) {
  out_.add(request.type, request.bytes.size());
  if (request.anonymous && !sessions_.has_session(request.to) &&
      sessions_.ask(request.to, request.bytes, request.answer_bytes, now)) {
    return requests_.asked(request.id);
  }
  sessions_.send(request.to, request.bytes, now);
}

void Kademlia::introduce(const Lookup& lookup, TimePoint now) {
  if (is_client()) return;
  const bool anew = std::exchange(introduce_anew_, false);
  for (const Contact& contact : lookup.answered(config_.lookup.k)) {
    if (sessions_.has_session(contact) && !anew) continue;  // from which it learned us
    wire::DhtMessage message;
    message.mutable_ping();
    request(contact, std::move(message), {Purpose::Kind::kIntroduction}, 2, now);
  }
}

void Kademlia::resend_lost(TimePoint now) {
  while (const auto contact = sessions_.poll_lost()) {
    table_.greeted(contact->peer, false);  // it restarted: its records are gone
    for (const Requests::Request& request : requests_.to(*contact)) {
      if (!request.asked) sessions_.send(*contact, request.bytes, now);
    }
  }
}

void Kademlia::handle_timeout(TimePoint now) {
  while (const auto due = requests_.poll_due(now)) on_due(*due, now);
  store_.expire(now);
  try_bootstraps(now);
  check_contacts(now);
  refresh(now);
  revisit_bootstraps(now);
  check_reachability(now);
  settle(now);
}

// All that was under way to a peer fails of one cause: what was sent before the last failure that
// counted says nothing new.
void Kademlia::count_failure(const Requests::Request& request, TimePoint now) {
  const TimePoint* last = last_failures_.find(request.to.peer, now);
  if (last != nullptr && request.sent < *last) return;
  last_failures_.put(request.to.peer, now, now);
  table_.failed(request.to.peer, request.resent, now);
}

void Kademlia::on_due(const Requests::Due& due, TimePoint now) {
  using Stage = Requests::Due::Stage;
  const Requests::Request& request = due.request;
  const proto::PeerId& peer = request.to.peer;
  const bool failed = due.stage == Stage::kFailed;
  // Whoever can be asked again is, as soon as its answer is late (`early`) or overdue.
  const auto resend = [&](bool early) {
    if (due.stage != (early ? Stage::kLate : Stage::kOverdue) || request.resends == 0) return false;
    requests_.resend(request.id, now);
    dispatch(request, now);
    count_request(request.purpose);
    return true;
  };
  // A peer of an earlier version answers no dial-back.
  const bool dial_back = request.purpose.kind == Purpose::Kind::kDialBack ||
                         request.purpose.kind == Purpose::Kind::kDial;
  if (failed && !request.purpose.repeat && !dial_back) count_failure(request, now);
  if (due.stage == Stage::kOverdue && !dial_back) table_.overdue(peer);
  const auto operation = operations_.find(request.purpose.operation);
  switch (request.purpose.kind) {
    case Purpose::Kind::kLookup:
      if (operation == operations_.end()) return;
      if (due.stage == Stage::kLate) operation->second.lookup->on_slow(peer);
      if (failed) operation->second.lookup->on_failure(peer);
      return advance(request.purpose.operation, now);
    case Purpose::Kind::kPage:
      // Until it fails its answer counts.
      if (resend(true) || !failed || operation == operations_.end()) return;
      --operation->second.find->open_pages;
      return advance(request.purpose.operation, now);
    case Purpose::Kind::kStore:
      if (resend(true) || due.stage == Stage::kLate) return;
      return on_stored(request.purpose.operation, peer, StoreOutcome::kSilent, now);
    case Purpose::Kind::kHandover:
      if (!resend(false) && failed) --handovers_in_flight_;
      return;
    case Purpose::Kind::kPing:
    case Purpose::Kind::kIntroduction:
    case Purpose::Kind::kBootstrap:
      resend(false);
      return;
    case Purpose::Kind::kDialBack:
      if (failed && reachability_) reachability_->answered(request.purpose.operation, false, now);
      return;
    case Purpose::Kind::kDial:
      if (failed) on_dialed(request.purpose.operation, false, now);
      return;
    case Purpose::Kind::kDialPing:  // whom nobody reaches does not answer
      return;
  }
}

void Kademlia::settle(TimePoint now) {
  latest_ = now;
  resend_lost(now);
  pump_handovers(now);
  while (!refused_.empty()) {
    const OperationId id = refused_.back();
    refused_.pop_back();
    ++active_;
    finish(id, now);
  }
  while (active_ < config_.max_operations && !waiting_.empty()) {
    const OperationId id = waiting_.front();
    waiting_.pop_front();
    if (operations_.contains(id)) activate(id, now);
  }
}

std::optional<TimePoint> Kademlia::next_timeout() const {
  std::optional<TimePoint> result;
  const auto consider = [&](std::optional<TimePoint> when) {
    if (when && (!result || *when < *result)) result = when;
  };
  consider(requests_.next_timeout());
  consider(table_.next_check());
  consider(store_.next_expiry());
  if (reachability_ && !table_.small()) consider(reachability_->next_timeout());
  for (const auto& [id, bootstrap] : bootstraps_) {
    if (!bootstrap.answered) consider(std::min(bootstrap.next_try, bootstrap.deadline));
  }
  if (table_.size() > 0) consider(refresh_due());
  if (!bootstrap_endpoints_.empty() || !remembered_.empty()) consider(revisit_due());
  return result;
}

std::optional<Datagram> Kademlia::poll_transmit() {
  std::optional<Datagram> datagram = sessions_.poll_transmit();
  if (datagram) {
    if (reachability_) reachability_->sent(datagram->to, latest_);
    ++datagrams_out_;
    bytes_out_ += datagram->bytes.size();
  }
  return datagram;
}

std::optional<Event> Kademlia::poll_event() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Kademlia::emit(Event event) { events_.push_back(std::move(event)); }

KademliaStats Kademlia::stats() const {
  KademliaStats stats;
  stats.contacts = table_.size();
  stats.verified_contacts = table_.verified();
  for (int bucket = 0; table_.size() > 0 && bucket <= table_.deepest_bucket(); ++bucket)
    stats.buckets.push_back(table_.bucket_size(bucket));
  stats.records = store_.size();
  stats.sessions = sessions_.session_count();
  stats.in_flight = requests_.size();
  stats.operations = operations_.size() + publishes_.size() + bootstraps_.size();
  stats.estimated_peers = swarm_size(latest_) - (config_.client_mode ? 1 : 0);
  stats.measurements = measurements_;
  stats.datagrams_in = datagrams_in_;
  stats.datagrams_out = datagrams_out_;
  stats.bytes_in = bytes_in_;
  stats.bytes_out = bytes_out_;
  stats.in = in_;
  stats.out = out_;
  stats.requests_answered = requests_.answered();
  stats.requests_failed = requests_.failed();
  stats.offences = bans_.total();
  stats.bans = bans_.size();
  stats.client = is_client();
  if (reachability_) {
    stats.reachability = reachability_->state();
    stats.dial_backs = reachability_->asks();
  }
  stats.dials = dials_;
  stats.drops = sessions_.drops();
  stats.drops += drops_;
  stats.datagrams_dropped = stats.drops.total();
  return stats;
}

}  // namespace shoal::dht
