// SPDX-License-Identifier: Apache-2.0
#include "dht/lookup.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "dht/diversity.h"
#include "dht/size_estimate.h"

namespace shoal::dht {
namespace {

// Farther than so many others nobody is close to the target: there networks need not be counted.
constexpr std::size_t kMaxNear = 64;

}  // namespace

Lookup::Lookup(const Key& target, const proto::PeerId& self, const LookupConfig& config,
               const LookupPlan& plan)
    : target_(target),
      self_(self),
      config_(config),
      plan_(plan),
      max_requests_(config.max_requests) {
  CHECK(config_.paths >= 1 && config_.paths <= kMaxPaths) << config_.paths;
}

std::size_t Lookup::place_of(const Key& distance) const {
  return static_cast<std::size_t>(
      std::lower_bound(candidates_.begin(), candidates_.end(), distance,
                       [](const Candidate& c, const Key& key) { return c.distance < key; }) -
      candidates_.begin());
}

const Lookup::Candidate* Lookup::find(const proto::PeerId& peer) const {
  const Key d = distance(target_, key_of(peer));
  const std::size_t place = place_of(d);
  return place < candidates_.size() && candidates_[place].distance == d ? &candidates_[place]
                                                                        : nullptr;
}

Lookup::Candidate* Lookup::find(const proto::PeerId& peer) {
  return const_cast<Candidate*>(static_cast<const Lookup*>(this)->find(peer));
}

void Lookup::add(const Contact& contact, bool suspect) {
  if (insert(contact, next_path_, 1, suspect) && plan_.secure) {
    if (++next_path_ == config_.paths) next_path_ = first_path_;
  }
}

void Lookup::add(const Contact& contact, const proto::PeerId& from, bool suspect) {
  const Candidate* teller = find(from);
  if (teller == nullptr) return add(contact, suspect);
  insert(contact, teller->path, std::min(teller->hops + 1, 255), suspect, teller->teller);
}

bool Lookup::insert(const Contact& contact, std::size_t path, int hops, bool suspect,
                    std::size_t teller) {
  if (contact.peer == self_) return false;
  const Key d = distance(target_, key_of(contact.peer));
  std::size_t place = place_of(d);
  if (place < candidates_.size() && candidates_[place].distance == d) {
    // Whoever told its address first may have lied: where this one is dumb, the other is tried.
    Candidate& known = candidates_[place];
    if (known.contact.endpoint != contact.endpoint && known.other.port == 0)
      known.other = contact.endpoint;
    // Whom we knew ourselves needs nobody's word.
    if (known.told_by.any()) tell(known, teller);
    return false;
  }
  if (candidates_.size() >= config_.max_candidates) {
    const std::size_t gives_way = victim(place);
    if (gives_way == candidates_.size()) return false;
    candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(gives_way));
    place -= gives_way < place;
  }
  Candidate candidate;
  candidate.distance = d;
  candidate.contact = contact;
  candidate.path = static_cast<std::uint8_t>(path);
  candidate.hops = static_cast<std::uint8_t>(hops);
  candidate.suspect = suspect;
  tell(candidate, teller);
  candidates_.insert(candidates_.begin() + static_cast<std::ptrdiff_t>(place), candidate);
  ranked_ = false;
  return true;
}

void Lookup::count_replica(const proto::Endpoint& endpoint) {
  if (plan_.diversity.enabled && !is_exempt(endpoint)) {
    const std::uint64_t network = narrow_network(endpoint);
    if (std::find(replica_networks_.begin(), replica_networks_.end(), network) !=
        replica_networks_.end()) {
      return;
    }
    replica_networks_.push_back(network);
  }
  ++replicas_;
}

void Lookup::tell(Candidate& candidate, std::size_t teller) {
  if (teller >= tellers_.size() || candidate.told_by[teller]) return;
  candidate.told_by[teller] = true;
  tellers_[teller].missed += candidate.missed;
  tellers_[teller].answered += candidate.state == State::kAnswered;
  judge(teller);
}

void Lookup::set_missed(Candidate& candidate, bool missed) {
  const bool answered = candidate.state == State::kAnswered;
  if (candidate.missed == missed && !answered) return;
  for (std::size_t teller = 0; teller < tellers_.size(); ++teller) {
    if (!candidate.told_by[teller]) continue;
    if (missed != candidate.missed) tellers_[teller].missed += missed ? 1 : -1;
    tellers_[teller].answered += answered;
    judge(teller);
  }
  candidate.missed = missed;
}

// Whoever tells of many that are not there has invented them, or knows nothing.
void Lookup::judge(std::size_t teller) {
  const Credit& credit = tellers_[teller];
  const bool doubted = credit.missed >= config_.max_missed && credit.missed > 2 * credit.answered;
  if (doubted_[teller] == doubted) return;
  doubted_[teller] = doubted;
  ranked_ = false;
}

// Who makes room for a new one at `place`: somebody that nobody waits for. The farthest of those
// who do not count anyway; else the farthest, if it is farther than the new one. All: nobody.
std::size_t Lookup::victim(std::size_t place) const {
  rank();
  std::size_t farthest = candidates_.size();
  for (std::size_t i = candidates_.size(); i-- > 0;) {
    const Candidate& c = candidates_[i];
    if (c.state != State::kNew && c.state != State::kFailed) continue;
    if (c.crowded) return i;
    if (farthest == candidates_.size() && i >= place) farthest = i;
  }
  return farthest;
}

// Who failed, or was asked twice in vain. It takes nobody's place, but its answer still counts.
bool Lookup::gone(const Candidate& candidate) {
  return candidate.state == State::kFailed || (candidate.state == State::kSlow && candidate.again);
}

void Lookup::rank() const {
  if (ranked_) return;
  ranked_ = true;
  NearLimit limit(plan_.diversity);
  std::size_t width = plan_.radius ? config_.min_neighbours : config_.k;
  if (plan_.width > 0) width = plan_.width;
  // In a crowded region every distance has its share.
  const bool shells = plan_.radius && within(*plan_.radius) > 2 * config_.k;
  const double shell = shells ? fraction(*plan_.radius) / static_cast<double>(config_.k) : 0;
  std::size_t in_shell = 0, current = 0;
  const std::size_t way = way_width();
  std::size_t close = 0, crowded = 0;
  std::array<std::size_t, kMaxPaths> on_path{};
  for (Candidate& c : candidates_) {
    c.neighbour = c.on_way = c.crowded = false;
    if (gone(c)) {
      if (close < kMaxNear) limit.count_silent(c.contact.endpoint);
      continue;
    }
    const bool open = c.state == State::kNew || c.state == State::kSlow;
    if (doubted_.any() && open && c.told_by.any() && (c.told_by & ~doubted_).none()) {
      c.crowded = true;
      ++crowded;
      continue;
    }
    const bool within_radius = plan_.radius && c.distance <= *plan_.radius;
    if (shells && within_radius) {
      const auto number = static_cast<std::size_t>(fraction(c.distance) / shell);
      if (number != current) in_shell = 0;
      current = number;
      c.crowded = in_shell >= config_.max_in_shell;
    }
    if (!c.crowded && close < kMaxNear) c.crowded = !limit.admit(c.contact.endpoint);
    if (c.crowded) {
      ++crowded;
      continue;
    }
    ++in_shell;
    const bool inside = within_radius && close < 2 * config_.k;
    c.neighbour = close < width || inside;
    ++close;
    if (c.state != State::kSlow) c.on_way = on_path[c.path]++ < way;
  }
  // A small swarm in one network: better neighbours that may be one person than none.
  for (Candidate& c : candidates_) {
    if (crowded == 0 || close >= config_.min_neighbours) break;
    if (gone(c) || c.neighbour) continue;
    c.neighbour = true;
    c.on_way = c.state != State::kSlow;
    ++close;
    --crowded;
  }
}

// How many of a path's closest are asked on the way to the target.
std::size_t Lookup::way_width() const {
  if (plan_.secure) return config_.path_alpha;
  if (plan_.goal == LookupPlan::Goal::kEverybody) return config_.alpha;
  // With replicas at hand only the closest are still asked.
  if (has_replicas()) return config_.beta;
  return config_.k;
}

bool Lookup::has_replicas() const {
  return plan_.goal == LookupPlan::Goal::kRecords && replicas_ >= config_.replicas;
}

bool Lookup::may_ask(const Candidate& candidate) const {
  return candidate.on_way || (candidate.neighbour && !has_replicas());
}

std::optional<Contact> Lookup::next() {
  if (asked_ >= max_requests_ || finished()) return std::nullopt;
  rank();
  const std::size_t alpha = plan_.secure ? config_.path_alpha : config_.alpha;
  std::array<std::size_t, kMaxPaths> waiting{}, closer{};
  std::size_t all_waiting = 0;
  bool fresh = false;
  for (const Candidate& c : candidates_) {
    if (c.state == State::kWaiting) {
      ++waiting[c.path];
      ++all_waiting;
    }
    fresh |= c.state == State::kNew && may_ask(c);
  }
  const bool whole_region =
      plan_.goal == LookupPlan::Goal::kEverybody && plan_.radius && !plan_.secure && answers_ > 0;
  Candidate* lend = nullptr;
  for (Candidate& c : candidates_) {
    if (c.state == State::kWaiting) ++closer[c.path];
    if (c.state != State::kNew || !may_ask(c)) continue;
    // Requests to farther peers do not hold this one up, within reason.
    if (closer[c.path] < alpha && waiting[c.path] < 2 * alpha) return ask(c);
    // The whole region is asked anyway: at once.
    if (whole_region && c.neighbour && all_waiting < 2 * config_.k) return ask(c);
    if (lend == nullptr && c.neighbour) lend = &c;
  }
  const std::size_t most = plan_.secure ? alpha * config_.paths : alpha;
  if (all_waiting >= most) return std::nullopt;
  if (lend != nullptr && plan_.secure)
    return ask(*lend);  // of a path that has more than it can ask
  if (fresh) return std::nullopt;
  for (Candidate& c : candidates_) {
    if (c.state != State::kSlow || c.again || !c.neighbour) continue;
    c.again = true;
    return ask(c);
  }
  return std::nullopt;
}

Contact Lookup::ask(Candidate& candidate) {
  candidate.again |= candidate.suspect;
  candidate.state = candidate.suspect ? State::kSlow : State::kWaiting;
  candidate.suspect = false;
  ++candidate.open;
  ++asked_;
  ranked_ = false;
  return candidate.contact;
}

void Lookup::on_answer(const Contact& from, bool records) {
  Candidate* candidate = find(from.peer);
  if (candidate == nullptr || candidate->state == State::kAnswered) return;
  candidate->state = State::kAnswered;
  candidate->contact = from;
  ++answers_;
  if (records) count_replica(from.endpoint);
  set_missed(*candidate, false);
  if (tellers_.size() < kMaxTellers) {
    candidate->teller = static_cast<std::uint16_t>(tellers_.size());
    tellers_.push_back({});
  }
  ranked_ = false;
}

void Lookup::on_slow(const proto::PeerId& peer) {
  Candidate* candidate = find(peer);
  if (candidate == nullptr || candidate->state != State::kWaiting) return;
  candidate->state = State::kSlow;
  set_missed(*candidate, true);
  try_other(*candidate);
  ranked_ = false;
}

void Lookup::on_failure(const proto::PeerId& peer) {
  Candidate* candidate = find(peer);
  if (candidate == nullptr || candidate->state == State::kAnswered) return;
  if (candidate->open > 0) --candidate->open;
  if (candidate->open > 0) return;
  candidate->state = State::kFailed;
  set_missed(*candidate, true);
  try_other(*candidate);
  ranked_ = false;
}

void Lookup::try_other(Candidate& candidate) {
  if (candidate.other.port == 0) return;
  candidate.contact.endpoint = candidate.other;
  candidate.other = {};
  candidate.state = State::kNew;
}

bool Lookup::closest_answered(std::size_t path) const {
  std::size_t answered = 0;
  for (const Candidate& c : candidates_) {
    if (c.path != path || !c.on_way) continue;
    if (c.state != State::kAnswered) return false;  // someone closer is still open
    if (++answered >= config_.beta) return true;
  }
  return true;
}

bool Lookup::finished() const {
  rank();
  const auto any = [&](auto&& holds) {
    return std::any_of(candidates_.begin(), candidates_.end(), holds);
  };
  if (asked_ >= max_requests_)
    return !any([](const Candidate& c) { return c.state == State::kWaiting; });
  if (answers_ == 0) {  // with no answer at all, late ones are worth waiting for
    return !any(
        [&](const Candidate& c) { return c.open > 0 || (c.state == State::kNew && may_ask(c)); });
  }
  for (std::size_t path = 0; path < (plan_.secure ? config_.paths : 1); ++path) {
    if (!closest_answered(path)) return false;
  }
  if (plan_.goal == LookupPlan::Goal::kClosest) return true;
  if (has_replicas()) return true;
  return !any([](const Candidate& c) { return c.neighbour && c.state != State::kAnswered; });
}

bool Lookup::exhausted() const {
  rank();
  return std::none_of(candidates_.begin(), candidates_.end(), [&](const Candidate& c) {
    return c.state == State::kWaiting || (c.state == State::kNew && may_ask(c));
  });
}

void Lookup::widen(std::optional<Key> radius) {
  plan_.goal = LookupPlan::Goal::kEverybody;
  plan_.radius = radius;
  ranked_ = false;
}

void Lookup::secure(std::optional<Key> radius) {
  widen(radius);
  if (plan_.secure) return;
  plan_.secure = true;
  max_requests_ += config_.max_requests;
  first_path_ = next_path_ = config_.paths > 1 ? 1 : 0;
}

int Lookup::hops(const proto::PeerId& peer) const {
  const Candidate* candidate = find(peer);
  return candidate == nullptr ? 0 : candidate->hops;
}

bool Lookup::repeats(const proto::PeerId& peer) const {
  const Candidate* candidate = find(peer);
  return candidate != nullptr && candidate->open > 1;
}

bool Lookup::is_neighbour(const proto::PeerId& peer) const {
  rank();
  const Candidate* candidate = find(peer);
  return candidate != nullptr && candidate->neighbour;
}

std::vector<Key> Lookup::nearest(std::size_t count) const {
  std::vector<Key> result;
  for (const Candidate& c : candidates_) {
    if (result.size() >= count) break;
    result.push_back(c.distance);
  }
  return result;
}

std::size_t Lookup::within(const Key& distance) const {
  const std::size_t place = place_of(distance);
  return place + (place < candidates_.size() && candidates_[place].distance == distance);
}

std::vector<Key> Lookup::heard() const {
  rank();
  std::vector<Key> result;
  for (const Candidate& c : candidates_) {
    if (c.state == State::kAnswered) {
      result.push_back(key_of(c.contact.peer));
    } else if (c.state == State::kWaiting ||
               (c.state == State::kNew && (c.on_way || c.neighbour))) {
      break;
    }
  }
  return result;
}

std::vector<Contact> Lookup::answered(std::size_t count) const {
  rank();
  std::vector<Contact> result;
  for (const bool neighbours : {true, false}) {
    for (const Candidate& c : candidates_) {
      if (result.size() >= count) return result;
      if (c.state == State::kAnswered && c.neighbour == neighbours) result.push_back(c.contact);
    }
  }
  return result;
}

}  // namespace shoal::dht
