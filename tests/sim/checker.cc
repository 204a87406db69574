// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/checker.h"

#include <fmt/format.h>

#include <utility>

#include "proto/limits.h"
#include "tests/sim/ideal_tables.h"

namespace shoal::sim {
namespace {

// Bounds change slowly: each eighth event is soon enough to name the time.
constexpr std::uint32_t kBoundsEvery = 8;

double seconds_of(dht::Duration duration) { return static_cast<double>(duration.count()) / 1e9; }

}  // namespace

Checker::Checker(Swarm& swarm, const Options& options) : swarm_(swarm), options_(options) {
  swarm_.observe(this);
}

void Checker::violate(std::string what) {
  if (!violation_) violation_ = Violation{std::move(what), swarm_.now()};
}

void Checker::forgive(PeerIndex peer) {
  if (peer < views_.size()) views_[peer].held.clear();
}

std::string Checker::name(PeerIndex peer) const {
  return fmt::format("peer {} ({})", peer, short_name(swarm_.identity(peer).peer_id()));
}

const Checker::Version* Checker::find(const proto::PeerId& subject, std::uint64_t sequence) const {
  const auto owner = signed_.find(subject);
  if (owner == signed_.end()) return nullptr;
  const auto version = owner->second.find(sequence);
  return version == owner->second.end() ? nullptr : &version->second;
}

void Checker::on_publish(PeerIndex peer, const wire::SignedRecord& record) {
  const auto decoded = dht::decode_record(record);
  if (!decoded.ok()) return violate(name(peer) + " signed a record that does not decode");
  Version& version = signed_[decoded->peer_id()][decoded->sequence];
  version.payload = record.payload();
  version.published = swarm_.now();
  version.withdrawn = decoded->load.state == proto::NodeState::kOffline;
  version.ttl_ms = version.withdrawn ? proto::kMaxRecordTtlMs : decoded->ttl_ms;
  version.model = decoded->offer.model_digest;
}

void Checker::on_handled(PeerIndex peer) {
  if (violation_ || !swarm_.is_honest(peer)) return;
  if (peer >= views_.size()) views_.resize(peer + 1);
  View& view = views_[peer];
  if (view.life != swarm_.life(peer)) view = View{swarm_.life(peer), {}, 0, 0};
  const bool now_and_then = ++view.handled % kBoundsEvery == 0;
  // A store that did not change can only be wrong by keeping what it should have dropped.
  const std::uint64_t changes = swarm_.core(peer).store().changes();
  if (std::exchange(view.changes, changes) != changes || now_and_then) check_store(peer, view);
  if (now_and_then) check_bounds(peer);
}

void Checker::check_store(PeerIndex peer, View& view) {
  const dht::RecordStore& store = swarm_.core(peer).store();
  for (const proto::PeerId& subject : store.subjects())
    check_entry(peer, *store.get(subject), view.held[subject]);
}

void Checker::check_entry(PeerIndex peer, const dht::RecordStore::Entry& entry, Held& held) {
  if (held.sequence == entry.sequence && held.expires == entry.expires) {
    if (swarm_.now() <= held.deadline || swarm_.local_time(peer) >= entry.expires) return;
    return violate(fmt::format("{} still holds record {} of {}, whose time is over", name(peer),
                               entry.sequence, short_name(entry.subject)));
  }
  const Version* version = find(entry.subject, entry.sequence);
  const auto who = [&] {
    return fmt::format("{} holds record {} of {}", name(peer), entry.sequence,
                       short_name(entry.subject));
  };
  if (version == nullptr || version->payload != entry.message.payload())
    return violate(who() + ", which its owner never signed");
  if (entry.sequence < held.sequence)
    return violate(fmt::format("{} after {}", who(), held.sequence));
  const dht::Duration left = entry.expires - swarm_.local_time(peer);
  if (left > dht::milliseconds(version->ttl_ms))
    return violate(fmt::format("{} for {:.1f} s more", who(), seconds_of(left)));
  const dht::TimePoint deadline =
      options_.liars ? dht::TimePoint::max()
                     : version->published + dht::milliseconds(version->ttl_ms) + options_.slack;
  if (swarm_.now() + left > deadline)
    return violate(fmt::format("{} for {:.1f} s past its time", who(),
                               seconds_of(swarm_.now() + left - deadline + options_.slack)));
  held = {entry.sequence, entry.expires, deadline};
}

void Checker::check_bounds(PeerIndex peer) {
  const dht::KademliaConfig& config = swarm_.config(peer);
  const dht::Kademlia& core = swarm_.core(peer);
  const dht::KademliaStats stats = core.stats();
  const auto bound = [&](const char* what, std::size_t value, std::size_t most) {
    if (value > most)
      violate(fmt::format("{} has {} {}, at most {}", name(peer), value, what, most));
  };
  static const std::size_t contacts = [&] {
    std::size_t sum = 0;
    for (std::size_t prefix = 0; prefix < 256; ++prefix)
      sum += bucket_capacity(prefix, config.routing.k);
    return sum;
  }();
  bound("contacts", stats.contacts, contacts);
  bound("records", stats.records, config.store.max_records + 1);  // its own comes on top
  bound("sessions", stats.sessions, config.sessions.max_sessions);
  bound("requests in flight", stats.in_flight, config.requests.max_in_flight);
  core.table().for_each([&](const dht::RoutingTable::Entry& entry) {
    if (entry.contact.peer == swarm_.identity(peer).peer_id())
      violate(name(peer) + " has itself in its table");
  });
}

void Checker::check_found(PeerIndex peer, const dht::Key& key, const dht::Event& event) {
  const identity::SwarmId swarm_id = swarm_.core(peer).swarm_id();
  std::map<proto::PeerId, int> subjects;
  for (const dht::Record& record : event.records) {
    const proto::PeerId subject = record.peer_id();
    const auto what = [&] {
      return fmt::format("{} was given record {} of {}", name(peer), record.sequence,
                         short_name(subject));
    };
    const Version* version = find(subject, record.sequence);
    if (version == nullptr) return violate(what() + ", which its owner never signed");
    if (++subjects[subject] > 1) return violate(what() + " twice");
    if (version->withdrawn || record.load.state == proto::NodeState::kOffline)
      return violate(what() + ", which says that its owner is gone");
    if (!dht::proves(swarm_id, record, key)) return violate(what() + ", which has another key");
    const dht::Duration over =
        swarm_.now() - version->published - dht::milliseconds(version->ttl_ms);
    // It may have come in when the find began, up to a minute ago.
    if (!options_.liars && over > options_.slack + dht::minutes(1))
      return violate(fmt::format("{}, {:.1f} s past its time", what(), seconds_of(over)));
  }
}

void Checker::on_event(PeerIndex peer, const dht::Event& event) {
  if (++ended_[{peer, swarm_.cores(peer)}][event.id] > 1)
    violate(fmt::format("{}: operation {} ended twice", name(peer), event.id));
}

void Checker::add_ghost(const proto::Endpoint& endpoint) { ghosts_[endpoint]; }

void Checker::on_delivered(PeerIndex to, const proto::Endpoint& source, std::size_t bytes) {
  if (ghosts_.empty()) return;
  const auto ghost = ghosts_.find(source);
  if (ghost != ghosts_.end()) ghost->second[to].in += bytes;
}

void Checker::on_sent(PeerIndex from, const proto::Endpoint& source,
                      const dht::Datagram& datagram) {
  if (tap_) tap_(source, datagram);
  if (ghosts_.empty()) return;
  const auto ghost = ghosts_.find(datagram.to);
  if (ghost == ghosts_.end() || !swarm_.is_honest(from)) return;
  Bytes& bytes = ghost->second[from];
  bytes.out += datagram.bytes.size();
  if (bytes.out > 3 * bytes.in) {
    violate(fmt::format("{} sent {} bytes to an address that never spoke, for {} bytes in its name",
                        name(from), bytes.out, bytes.in));
  }
}

}  // namespace shoal::sim
