// SPDX-License-Identifier: Apache-2.0
#include "dht/requests.h"

#include <algorithm>

namespace shoal::dht {

Requests::Requests(const RequestConfig& config, Random& random)
    : config_(config), random_(random.bytes<32>()) {}

std::uint64_t Requests::new_id() {
  std::uint64_t id = random_.next();
  while (id == 0 || requests_.contains(id)) id = random_.next();
  return id;
}

Duration Requests::soft_timeout() const {
  const std::size_t n = std::min(samples_, round_trips_.size());
  if (n == 0) return config_.soft_max;
  std::array<Duration, 32> sorted = round_trips_;
  std::sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(n));
  return std::clamp(2 * sorted[(n * 95 - 1) / 100], config_.soft_min, config_.soft_max);
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
  Request& stored = requests_[id] = std::move(request);
  set_next(stored, now + soft_timeout());
  return true;
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
  if (!request.resent) {
    const Duration taken = now - request.sent;
    round_trips_[samples_++ % round_trips_.size()] = request.handshake ? taken / 2 : taken;
  }
  return request;
}

std::optional<Requests::Due> Requests::poll_due(TimePoint now) {
  if (deadlines_.empty() || deadlines_.begin()->first > now) return std::nullopt;
  const std::uint64_t id = deadlines_.begin()->second;
  Request& request = requests_.at(id);
  if (now >= request.hard) {
    Due due{std::move(request), true};
    deadlines_.erase(deadlines_.begin());
    requests_.erase(id);
    return due;
  }
  request.slow = true;
  set_next(request, request.hard);
  return Due{request, false};
}

void Requests::resend(std::uint64_t id, TimePoint now) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  it->second.resent = true;
  it->second.resends = std::max(0, it->second.resends - 1);
  set_next(it->second, std::min(it->second.hard, now + soft_timeout()));
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
