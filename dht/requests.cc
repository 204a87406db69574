// SPDX-License-Identifier: Apache-2.0
#include "dht/requests.h"

#include <algorithm>
#include <cmath>

namespace shoal::dht {
namespace {

constexpr std::size_t kMinSamples = 8;  // fewer say nothing of nine in ten

// Tells peers of one place apart; never 0.
std::uint32_t tag_of(const proto::PeerId& peer) {
  return static_cast<std::uint32_t>(peer.word(0) >> 32) | 1;
}

}  // namespace

Requests::Requests(const RequestConfig& config, identity::Random& random)
    : config_(config), random_(random.bytes<32>()), usual_(config.late_unknown) {}

std::uint64_t Requests::new_id() {
  std::uint64_t id = random_.next();
  while (id == 0 || requests_.contains(id)) id = random_.next();
  return id;
}

std::size_t Requests::place_of(const proto::PeerId& peer) const {
  return (static_cast<std::size_t>(peer.bytes[30]) << 8 | peer.bytes[31]) %
         config_.remembered_peers;
}

Duration Requests::late_after(const proto::PeerId& peer, bool handshake) const {
  Duration result = usual_;
  if (!peers_.empty()) {
    const Peer& known = peers_[place_of(peer)];
    if (known.tag != 0 && known.tag == tag_of(peer)) {
      const double ms =
          static_cast<double>(known.mean_ms) + 4.0 * static_cast<double>(known.deviation_ms);
      result = Duration(static_cast<std::int64_t>(ms * 1e6));
    }
  }
  return std::clamp(handshake ? 2 * result : result, config_.late_min, config_.late_max);
}

void Requests::learn(const proto::PeerId& peer, Duration round_trip) {
  round_trips_[samples_++ % round_trips_.size()] = round_trip;
  const std::size_t n = std::min(samples_, round_trips_.size());
  // Of many samples one more changes little: they are not sorted each time.
  const bool settled = samples_ > round_trips_.size() && samples_ % kMinSamples != 0;
  if (n >= kMinSamples && !settled) {
    std::array<Duration, 64> sorted = round_trips_;
    const std::size_t rank = (n * 9 - 1) / 10;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank),
                     sorted.begin() + static_cast<std::ptrdiff_t>(n));
    usual_ = sorted[rank];
  }
  if (config_.remembered_peers == 0) return;
  if (peers_.empty()) peers_.resize(config_.remembered_peers);
  Peer& known = peers_[place_of(peer)];
  const auto ms = static_cast<float>(static_cast<double>(round_trip.count()) / 1e6);
  if (known.tag != tag_of(peer)) {
    known = {tag_of(peer), ms, ms / 4};
    return;
  }
  known.deviation_ms += (std::abs(ms - known.mean_ms) - known.deviation_ms) / 4;
  known.mean_ms += (ms - known.mean_ms) / 8;
}

void Requests::set_next(Request& request, TimePoint when) {
  deadlines_.erase({request.next, request.id});
  request.next = when;
  deadlines_.insert({request.next, request.id});
}

bool Requests::add(Request request, TimePoint now) {
  if (requests_.size() >= config_.max_in_flight) return false;
  request.sent = now;
  request.hard = now + config_.hard;
  const std::uint64_t id = request.id;
  sent(requests_[id] = std::move(request), now);
  return true;
}

// Twice as long again after it is late, it is overdue: hardly anybody who lives takes so long.
void Requests::sent(Request& request, TimePoint now) {
  const Duration late = late_after(request.to.peer, request.handshake);
  request.late = request.patient;
  set_next(request, std::min(request.hard, now + (request.patient ? 3 * late : late)));
}

std::optional<Requests::Request> Requests::take(std::uint64_t id, const Contact& from,
                                                TimePoint now) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return std::nullopt;
  const Contact& to = it->second.to;
  const bool fits =
      to.endpoint == from.endpoint && (to.peer == proto::PeerId{} || to.peer == from.peer);
  if (!fits) return std::nullopt;
  Request request = std::move(it->second);
  deadlines_.erase({request.next, id});
  requests_.erase(it);
  ++answered_;
  if (!request.resent) {
    const Duration taken = now - request.sent;
    learn(from.peer, request.handshake ? taken / 2 : taken);
  }
  return request;
}

std::optional<Requests::Due> Requests::poll_due(TimePoint now) {
  if (deadlines_.empty() || deadlines_.begin()->first > now) return std::nullopt;
  const std::uint64_t id = deadlines_.begin()->second;
  Request& request = requests_.at(id);
  if (now >= request.hard) {
    Due due{std::move(request), Due::Stage::kFailed};
    deadlines_.erase(deadlines_.begin());
    requests_.erase(id);
    ++failed_;
    return due;
  }
  if (!request.late) {
    request.late = true;
    set_next(request,
             std::min(request.hard, now + 2 * late_after(request.to.peer, request.handshake)));
    return Due{request, Due::Stage::kLate};
  }
  set_next(request, request.hard);
  return Due{request, Due::Stage::kOverdue};
}

void Requests::resend(std::uint64_t id, TimePoint now) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  Request& request = it->second;
  request.resent = true;
  request.resends = std::max(0, request.resends - 1);
  if (request.patient && request.resends == 0) return set_next(request, request.hard);
  sent(request, now);
}

void Requests::asked(std::uint64_t id) {
  if (const auto it = requests_.find(id); it != requests_.end()) it->second.asked = true;
}

const Requests::Request* Requests::find(std::uint64_t id) const {
  const auto it = requests_.find(id);
  return it == requests_.end() ? nullptr : &it->second;
}

std::vector<Requests::Request> Requests::to(const Contact& contact) const {
  std::vector<Request> result;
  for (const auto& [id, request] : requests_) {
    if (request.to.endpoint != contact.endpoint) continue;
    if (request.to.peer == contact.peer || request.to.peer == proto::PeerId{})
      result.push_back(request);
  }
  return result;
}

std::optional<TimePoint> Requests::next_timeout() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

}  // namespace shoal::dht
