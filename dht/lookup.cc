// SPDX-License-Identifier: Apache-2.0
#include "dht/lookup.h"

#include <algorithm>

namespace shoal::dht {

Lookup::Lookup(const Key& target, const proto::PeerId& self, const LookupConfig& config)
    : target_(target), self_(self), config_(config) {}

Lookup::Candidate* Lookup::find(const proto::PeerId& peer) {
  const auto it = candidates_.find(distance(target_, key_of(peer)));
  return it == candidates_.end() ? nullptr : &it->second;
}

std::size_t Lookup::count(State state) const {
  return static_cast<std::size_t>(
      std::count_if(candidates_.begin(), candidates_.end(),
                    [&](const auto& entry) { return entry.second.state == state; }));
}

void Lookup::add(const Contact& contact, bool suspect) {
  if (contact.peer == self_) return;
  const Key d = distance(target_, key_of(contact.peer));
  if (candidates_.contains(d)) return;
  if (candidates_.size() >= config_.max_candidates) {
    // Make room by dropping the farthest that was not asked, if it is farther than the new one.
    auto victim = candidates_.end();
    for (auto it = candidates_.begin(); it != candidates_.end(); ++it) {
      if (it->second.state == State::kNew || it->second.state == State::kFailed) victim = it;
    }
    if (victim == candidates_.end() || victim->first < d) return;
    candidates_.erase(victim);
  }
  candidates_[d] = Candidate{contact, State::kNew, suspect, false};
}

std::optional<Contact> Lookup::next() {
  if (finished() || count(State::kWaiting) >= config_.alpha) return std::nullopt;
  std::size_t rank = 0;
  for (auto& [d, candidate] : candidates_) {
    if (candidate.state == State::kFailed || candidate.state == State::kSlow) continue;
    if (candidate.state == State::kNew) {
      candidate.state = candidate.suspect ? State::kSlow : State::kWaiting;
      return candidate.contact;
    }
    if (++rank >= config_.k) return std::nullopt;  // the k closest are all asked
  }
  return std::nullopt;
}

void Lookup::on_answer(const proto::PeerId& peer) {
  if (Candidate* candidate = find(peer)) candidate->state = State::kAnswered;
}

bool Lookup::on_slow(const proto::PeerId& peer) {
  Candidate* candidate = find(peer);
  if (candidate == nullptr || candidate->state != State::kWaiting) return true;
  if (!candidate->again && count(State::kNew) == 0 && count(State::kAnswered) < wanted()) {
    candidate->again = true;
    return false;
  }
  candidate->state = State::kSlow;
  return true;
}

void Lookup::on_failure(const proto::PeerId& peer) {
  Candidate* candidate = find(peer);
  if (candidate != nullptr && candidate->state != State::kAnswered)
    candidate->state = State::kFailed;
}

bool Lookup::finished() const {
  std::size_t answered = 0;
  bool slow = false;
  for (const auto& [d, candidate] : candidates_) {
    switch (candidate.state) {
      case State::kNew:
      case State::kWaiting:
        return false;  // someone closer than the wanted-th answer is still open
      case State::kAnswered:
        if (++answered >= wanted()) return true;
        break;
      case State::kSlow:
        slow = true;
        break;
      case State::kFailed:
        break;
    }
  }
  return answered > 0 || !slow;  // with no answer at all, late ones are worth waiting for
}

bool Lookup::exhausted() const { return count(State::kNew) == 0 && count(State::kWaiting) == 0; }

std::vector<Contact> Lookup::answered(std::size_t count) const {
  std::vector<Contact> result;
  for (const auto& [d, candidate] : candidates_) {
    if (result.size() >= count) break;
    if (candidate.state == State::kAnswered) result.push_back(candidate.contact);
  }
  return result;
}

}  // namespace shoal::dht
