// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fault_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "dht/diversity.h"
#include "proto/limits.h"
#include "tests/sim/population.h"

namespace shoal::sim {
namespace {

using dht::milliseconds;
using dht::seconds;

constexpr dht::Duration kArrivals = seconds(15);
constexpr dht::Duration kPeriod = milliseconds(proto::kRecordRefreshMs);
// Two republish periods with their jitter.
constexpr dht::Duration kRecovery = 2 * kPeriod * 6 / 5;
// Every operation ends within this time of its peer's clock, however bad the network is.
constexpr dht::Duration kOperation = seconds(45);
constexpr proto::BlockIndex kBlocks = 6;
// Of publishes, say that the owner leaves.
constexpr double kWithdrawals = 0.05;
// Leading bits that a sybil's id shares with its key: more than nearly all honest ones do.
constexpr int kSybilBits = 5;
// What a full disk has left.
constexpr std::size_t kFullStore = 3;

identity::SwarmKey swarm_key_of(std::uint64_t seed) {
  identity::SwarmKey key;
  const auto bytes = FastRandom(seed ^ 0x6b6579).bytes<32>();
  std::copy(bytes.begin(), bytes.end(), key.bytes.begin());
  return key;
}

dht::Duration spread(FastRandom& random, dht::Duration longest) {
  return dht::Duration(
      static_cast<std::int64_t>(random.unit() * static_cast<double>(longest.count())));
}

}  // namespace

FaultRun::FaultRun(std::uint64_t seed, const Knobs& knobs)
    : knobs_(knobs),
      swarm_({seed, knobs.links, knobs.addresses}),
      random_(mix(seed) ^ 0x9e0),
      // Held up by clogs, pauses and slow ways, from one holder to the next.
      checker_(swarm_, {.slack = 3 * Nemesis::kLongest + seconds(60),
                        .liars = knobs.liars > 0 || knobs.replay > 0}),
      nemesis_(swarm_, knobs,
               {.died = [this](PeerIndex peer) { people_[peer].joined = false; },
                .slept = [this](PeerIndex peer) { checker_.forgive(peer); },
                .returned =
                    [this](PeerIndex peer, const std::vector<dht::Contact>& known) {
                      people_[peer].published = 0;
                      swarm_.restore(peer, known, false);
                      join(peer);
                    }}) {
  if (knobs.keyed) swarm_key_ = swarm_key_of(seed);
}

void FaultRun::after(PeerIndex peer, dht::Duration delay, std::function<void()> action) {
  swarm_.after(delay, [this, peer, life = swarm_.life(peer), action = std::move(action)] {
    if (swarm_.life(peer) == life) action();
  });
}

void FaultRun::run_for(dht::Duration duration) {
  const dht::TimePoint until = swarm_.now() + duration;
  while (!done() && swarm_.step(until)) {
  }
  if (!done()) swarm_.run_until(until);
}

bool FaultRun::lives(PeerIndex peer) const {
  return swarm_.is_honest(peer) && swarm_.is_up(peer) && people_[peer].joined;
}

Config FaultRun::config_of(const Person& person) const {
  auto config = std::make_shared<dht::KademliaConfig>();
  config->client_mode = person.client;
  config->swarm_key = swarm_key_;
  if (person.full_store) config->store.max_records = kFullStore;
  return config;
}

void FaultRun::add_person() {
  Person person;
  const bool first = people_.empty();
  person.client = !first && random_.chance(knobs_.clients);
  person.owner = !person.client && (first || random_.chance(knobs_.owners));
  const auto begin = static_cast<proto::BlockIndex>(random_.below(kBlocks));
  person.span = {begin, static_cast<proto::BlockIndex>(random_.between(begin + 1, kBlocks))};
  person.full_store = random_.chance(knobs_.full_stores);
  const PeerIndex peer = swarm_.add(config_of(person));
  people_.resize(peer + 1);
  people_[peer] = person;
  if (person.owner) owners_.push_back(peer);
  // Its clock runs off, and began long ago.
  if (knobs_.skew > 0) swarm_.set_clock(peer, 1 + knobs_.skew * (2 * random_.unit() - 1));
  join(peer);
  wander(peer);
}

void FaultRun::add_hostile() {
  const auto options = [&] {
    return HostileOptions{swarm_.draw_identity(), swarm_key_, random_.next(),
                          [this] {
                            std::vector<dht::Contact> honest;
                            for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
                              if (swarm_.is_honest(peer) && swarm_.is_up(peer))
                                honest.push_back(swarm_.contact(peer));
                            }
                            return honest;
                          },
                          swarm_.now()};
  };
  const auto add = [&](std::unique_ptr<Participant> actor, const HostileOptions& as) {
    hostile_.push_back(swarm_.add(std::move(actor), swarm_.addresses().next(), as.self));
    people_.resize(swarm_.size());
  };
  colluders_ = std::make_unique<Colluders>(swarm_key_);
  for (std::size_t i = 0; i < knobs_.colluders; ++i) {
    hostile_.push_back(colluders_->add(swarm_));
    people_.resize(swarm_.size());
  }
  add_sybils();
  for (std::size_t i = 0; i < knobs_.liars; ++i) {
    const HostileOptions as = options();
    add(std::make_unique<Liar>(as), as);
  }
  for (std::size_t i = 0; i < knobs_.poisoners; ++i) {
    const HostileOptions as = options();
    add(std::make_unique<Poisoner>(as), as);
  }
  for (std::size_t i = 0; i < knobs_.flooders; ++i) {
    const HostileOptions as = options();
    add(std::make_unique<Flooder>(as, 5 + 40 * random_.unit(), ghosts_), as);
  }
}

void FaultRun::add_sybils() {
  if (knobs_.sybils == 0) return;
  const dht::Key key =
      dht::model_key(knobs_.keyed ? identity::swarm_id_of(*swarm_key_) : identity::SwarmId{},
                     record_of(0).offer.model_digest);
  const std::uint32_t network = swarm_.addresses().reserve_network();
  for (std::size_t i = 0; i < knobs_.sybils; ++i) {
    identity::Identity identity = swarm_.draw_identity();
    while (dht::common_prefix(key, dht::key_of(identity.peer_id())) < kSybilBits)
      identity = swarm_.draw_identity();
    const proto::Endpoint endpoint =
        knobs_.addresses == AddressKind::kPublic
            ? AddressPlan::host(network, static_cast<std::uint8_t>(1 + i), 7000)
            : swarm_.addresses().next();
    hostile_.push_back(colluders_->add_at(swarm_, endpoint, identity));
    people_.resize(swarm_.size());
  }
}

void FaultRun::populate() {
  for (int i = 0; i < 2; ++i) {
    ghosts_.push_back(swarm_.addresses().next());
    checker_.add_ghost(ghosts_.back());
  }
  if (knobs_.replay > 0) {
    checker_.set_tap([this](const proto::Endpoint& source, const dht::Datagram& datagram) {
      if (!healed_ && random_.chance(knobs_.replay)) replay(source, datagram);
    });
  }
  add_person();
  for (std::size_t i = 1; i < knobs_.peers; ++i)
    swarm_.after(spread(random_, kArrivals), [this] { add_person(); });
  if (knobs_.hostile() > 0) swarm_.after(spread(random_, kArrivals), [this] { add_hostile(); });
}

// Somebody who listens sends it again: from where it came, or in another's name.
void FaultRun::replay(const proto::Endpoint& source, const dht::Datagram& datagram) {
  const proto::Endpoint& from = random_.chance(0.3) ? ghosts_[random_.below(2)] : source;
  const auto delay = spread(random_, 2 * spread(random_, seconds(60)));
  swarm_.after(delay, [this, from, datagram] {
    if (!healed_) swarm_.forge(datagram.to, datagram.bytes, from);
  });
}

void FaultRun::must_end(PeerIndex peer, const char* what, std::shared_ptr<bool> ended) {
  // A paused peer's operations wait with it.
  after(peer, kOperation + Nemesis::kLongest * 2, [this, peer, what, ended] {
    if (!*ended) checker_.violate(fmt::format("peer {}: its {} did not end", peer, what));
  });
}

void FaultRun::join(PeerIndex peer) {
  std::vector<PeerIndex> at;
  for (PeerIndex other = 0; other < std::min<std::size_t>(Nemesis::kBootstraps, swarm_.size());
       ++other) {
    if (other != peer && swarm_.is_honest(other) && !people_[other].client) at.push_back(other);
  }
  const auto joined = [this, peer] {
    if (std::exchange(people_[peer].joined, true)) return;
    if (people_[peer].owner) publish(peer);
  };
  if (peer == 0) joined();  // the first needs nobody
  if (at.empty()) return;
  const auto ended = std::make_shared<bool>(false);
  must_end(peer, "bootstrap", ended);
  swarm_.bootstrap(peer, at, seconds(10), [this, peer, ended, joined](const dht::Event& event) {
    *ended = true;
    if (event.ok) return joined();
    after(peer, seconds(1), [this, peer] { join(peer); });
  });
}

dht::Record FaultRun::record(PeerIndex owner) const {
  dht::Record record = record_of(0);
  record.ttl_ms = knobs_.ttl_ms;
  record.offer.block_count = kBlocks;
  record.offer.span = people_[owner].span;
  return record;
}

void FaultRun::publish(PeerIndex peer) {
  after(peer, kPeriod * 4 / 5 + spread(random_, kPeriod * 2 / 5), [this, peer] {
    if (people_[peer].owner) publish(peer);
  });
  ++publishes_;
  dht::Record what = record(peer);
  if (!healed_ && people_[peer].joined && random_.chance(kWithdrawals)) {
    what.load.state = proto::NodeState::kOffline;
    people_[peer].owner = false;
  }
  const auto ended = std::make_shared<bool>(false);
  must_end(peer, "publish", ended);
  const std::uint64_t sequence = swarm_.sequence(peer) + 1;
  swarm_.publish(peer, what, {}, [this, peer, ended, sequence](const dht::Event&) {
    *ended = true;
    std::uint64_t& published = people_[peer].published;
    published = std::max(published, sequence);
  });
}

void FaultRun::find(PeerIndex peer, const dht::Key& key,
                    std::function<void(const dht::Event&)> then) {
  ++finds_;
  const auto ended = std::make_shared<bool>(false);
  must_end(peer, "find", ended);
  swarm_.find(peer, key, [this, peer, key, ended, then = std::move(then)](const auto& event) {
    *ended = true;
    checker_.check_found(peer, key, event);
    if (then) then(event);
  });
}

void FaultRun::wander(PeerIndex peer) {
  const auto wait = dht::Duration(static_cast<std::int64_t>(random_.exponential(20e9)));
  swarm_.after(wait, [this, peer] {
    if (healed_ || done()) return;
    if (lives(peer)) {
      const identity::SwarmId id = swarm_.core(peer).swarm_id();
      const proto::Digest model = record_of(0).offer.model_digest;
      const std::uint64_t kind = random_.below(4);
      find(peer,
           kind == 0 ? dht::models_key(id)
           : kind == 1
               ? dht::block_key(id, model, static_cast<proto::BlockIndex>(random_.below(kBlocks)))
               : dht::model_key(id, model),
           {});
    }
    wander(peer);
  });
}

void FaultRun::heal() {
  healed_ = true;
  LinkModel& links = swarm_.network().model();
  links.loss = links.duplication = links.corruption = links.slow = 0;
  for (const PeerIndex peer : hostile_) swarm_.crash(peer);
  nemesis_.heal();
  for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
    if (!std::exchange(people_[peer].full_store, false)) continue;
    swarm_.set_config(peer, config_of(people_[peer]));
    if (!swarm_.is_up(peer)) continue;
    // Its disk has room again, and it begins anew.
    swarm_.crash(peer);
    swarm_.restart(peer);
    people_[peer].joined = false;
    people_[peer].published = 0;
    join(peer);
  }
}

void FaultRun::check_knowledge() {
  std::vector<PeerIndex> servers;
  for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
    if (lives(peer) && !people_[peer].client) servers.push_back(peer);
  }
  if (servers.size() > dht::LookupConfig{}.k) return;
  // Public networks of which a bucket takes only so many.
  const auto crowds = [&](PeerIndex peer) {
    const dht::DiversityConfig diversity;
    const auto same = std::count_if(servers.begin(), servers.end(), [&](PeerIndex other) {
      return dht::narrow_network(swarm_.endpoint(other)) ==
             dht::narrow_network(swarm_.endpoint(peer));
    });
    return !swarm_.endpoint(peer).is_private() &&
           static_cast<std::size_t>(same) > diversity.in_bucket;
  };
  // A pair whose round trip may take longer than any request waits cannot hold on to each other:
  // the network that the seed drew is slow, and no core can tell that from death.
  const auto too_far = [&](PeerIndex a, PeerIndex b) {
    const auto usual = static_cast<double>(swarm_.network().round_trip(a, b).count());
    return usual * (1 + knobs_.links.jitter) >=
           static_cast<double>(dht::RequestConfig{}.hard.count());
  };
  for (const PeerIndex a : servers) {
    for (const PeerIndex b : servers) {
      if (a == b || crowds(b) || too_far(a, b) ||
          swarm_.core(a).table().find(swarm_.identity(b).peer_id()) != nullptr)
        continue;
      return checker_.violate(
          fmt::format("peer {} does not know peer {}, two periods after all was well", a, b));
    }
  }
}

void FaultRun::check_findable(PeerIndex peer, const dht::Key& key) {
  std::vector<std::pair<PeerIndex, std::uint64_t>> expected;
  for (const PeerIndex owner : owners_) {
    if (lives(owner) && people_[owner].owner)
      expected.emplace_back(owner, people_[owner].published);
  }
  find(peer, key, [this, peer, expected](const dht::Event& event) {
    for (const auto& [owner, sequence] : expected) {
      const auto& owner_key = swarm_.identity(owner).public_key();
      const auto found = std::find_if(event.records.begin(), event.records.end(),
                                      [&](const auto& r) { return r.public_key == owner_key; });
      if (found != event.records.end() && found->sequence >= sequence) continue;
      return checker_.violate(fmt::format(
          "peer {} finds {} of peer {}, who lives and published {}, two periods after all was well",
          peer,
          found == event.records.end() ? std::string("no record")
                                       : fmt::format("record {}", found->sequence),
          owner, sequence));
    }
  });
}

void FaultRun::check_liveness() {
  for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
    if (swarm_.is_honest(peer) && swarm_.is_up(peer) && !people_[peer].joined)
      return checker_.violate(fmt::format("peer {} could not join", peer));
    if (swarm_.is_honest(peer) && swarm_.is_up(peer)) checker_.check_bounds(peer);
  }
  for (const PeerIndex owner : owners_) {
    if (lives(owner) && people_[owner].owner && people_[owner].published == 0)
      return checker_.violate(fmt::format("no publish of peer {} ended", owner));
  }
  check_knowledge();
  for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
    if (!lives(peer)) continue;
    check_findable(peer,
                   dht::model_key(swarm_.core(peer).swarm_id(), record_of(0).offer.model_digest));
  }
  run_for(seconds(30));
}

Verdict FaultRun::run() {
  const dht::TimePoint begin = swarm_.now();
  populate();
  nemesis_.start(begin + kArrivals + knobs_.fault_time);
  run_for(kArrivals + knobs_.fault_time);
  if (!done()) heal();
  run_for(kRecovery);
  if (!done()) check_liveness();
  Verdict verdict;
  verdict.violation = checker_.violation();
  verdict.events = swarm_.events();
  verdict.trace = swarm_.trace_hash();
  verdict.finds = finds_;
  verdict.publishes = publishes_;
  verdict.virtual_s = static_cast<double>((swarm_.now() - begin).count()) / 1e9;
  return verdict;
}

}  // namespace shoal::sim
