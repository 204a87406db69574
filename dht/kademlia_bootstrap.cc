// SPDX-License-Identifier: Apache-2.0
// Joining: from an address alone to the own neighbourhood, and back again when everybody was lost.
#include <algorithm>

#include "dht/kademlia.h"

namespace shoal::dht {
namespace {

// Addresses remembered over all bootstrap calls.
constexpr std::size_t kMaxAddresses = 64;
// Contacts of the last run that are asked like bootstrap addresses, so many at a time: one in ten
// still lives after days, as a rule.
constexpr std::size_t kMaxRemembered = 64;
constexpr std::size_t kRememberedAtOnce = 8;

}  // namespace

OperationId Kademlia::bootstrap(std::vector<proto::Endpoint> peers, Duration timeout,
                                TimePoint now) {
  Bootstrap bootstrap;
  bootstrap.id = next_operation_++;
  std::erase_if(peers, [](const proto::Endpoint& peer) { return !peer.is_usable(); });
  if (peers.size() > config_.max_bootstraps) peers.resize(config_.max_bootstraps);
  for (const proto::Endpoint& peer : peers) {
    if (bootstrap_endpoints_.size() < kMaxAddresses) bootstrap_endpoints_.insert(peer);
  }
  bootstrap.peers = std::move(peers);
  bootstrap.next_try = now;
  const bool hopeless = bootstrap.peers.empty() && remembered_.empty();
  bootstrap.deadline = hopeless ? now : now + timeout;
  const OperationId id = bootstrap.id;
  bootstraps_[id] = std::move(bootstrap);
  try_bootstraps(now);
  settle(now);
  return id;
}

void Kademlia::restore(const std::vector<Contact>& contacts, bool verified, TimePoint now) {
  for (const Contact& contact : contacts) {
    if (!contact.endpoint.is_usable()) continue;
    if (verified) {
      table_.heard(contact, true, now);
    } else {
      table_.learned(contact, now);
      remembered_.push_back(contact);
    }
  }
  if (verified || remembered_.empty()) return;
  for (std::size_t i = remembered_.size(); i > 1; --i)
    std::swap(remembered_[i - 1], remembered_[random_.below(i)]);
  if (remembered_.size() > kMaxRemembered) remembered_.resize(kMaxRemembered);
  refresh_self_ = true;
  next_refresh_ = std::min(next_refresh_, now + seconds(1));
}

void Kademlia::ask_neighbourhood(const Contact& to, Purpose purpose, int resends, TimePoint now) {
  request(to, find_message(key_of(self_.peer_id()), false, 0), purpose, resends, now);
}

void Kademlia::try_bootstraps(TimePoint now) {
  std::vector<OperationId> failed;
  for (auto& [id, bootstrap] : bootstraps_) {
    if (bootstrap.answered) continue;
    if (now >= bootstrap.deadline) {
      failed.push_back(id);
      continue;
    }
    if (now < bootstrap.next_try) continue;
    bootstrap.next_try = now + config_.bootstrap_retry;
    for (const proto::Endpoint& peer : bootstrap.peers) {
      const Contact to{{}, peer};
      bool open = false;
      for (const Requests::Request& request : requests_.to(to)) {
        if (request.purpose.kind != Purpose::Kind::kBootstrap || request.purpose.operation != id)
          continue;
        sessions_.send(to, request.bytes,
                       now);  // the same question: one more datagram, not one more answer to await
        open = true;
      }
      if (!open) ask_neighbourhood(to, {Purpose::Kind::kBootstrap, id}, 0, now);
    }
    for (std::size_t i = 0; i < kRememberedAtOnce; ++i) {
      if (bootstrap.remembered_asked >= remembered_.size()) break;
      ask_neighbourhood(remembered_[bootstrap.remembered_asked++], {Purpose::Kind::kBootstrap, id},
                        0, now);
    }
  }
  for (const OperationId id : failed) finish_bootstrap(id, false);
}

void Kademlia::on_bootstrap_answer(OperationId id, const Contact& from, const wire::Found& found,
                                   TimePoint now) {
  const auto it = bootstraps_.find(id);
  if (it == bootstraps_.end()) return;
  if (!it->second.answered) {
    it->second.answered = true;
    Operation& join = start(Operation::Kind::kJoin, key_of(self_.peer_id()),
                            {.goal = LookupPlan::Goal::kEverybody}, now);
    joins_[join.id] = id;
  }
  // What this answer says saves the lookup its first question; a second bootstrap address widens
  // it.
  for (const auto& [join, bootstrap] : joins_) {
    if (bootstrap != id) continue;
    Operation& operation = operations_.at(join);
    operation.lookup->add(from);
    operation.lookup->on_answer(from);
    add_contacts(from, operation, found);
    if (std::find(waiting_.begin(), waiting_.end(), join) == waiting_.end()) {
      advance(join, now);
      return;  // it may have ended, and joins_ changed
    }
  }
}

void Kademlia::finish_bootstrap(OperationId id, bool ok) {
  bootstraps_.erase(id);
  Event done;
  done.kind = Event::Kind::kBootstrapDone;
  done.id = id;
  done.ok = ok;
  emit(std::move(done));
}

// A table that has become small meanwhile does not wait as long as it might when it was large.
TimePoint Kademlia::revisit_due() const {
  return table_.small() ? std::min(next_revisit_, last_revisit_ + config_.rebootstrap_small)
                        : next_revisit_;
}

void Kademlia::revisit_bootstraps(TimePoint now) {
  if (now < revisit_due()) return;
  last_revisit_ = now;
  const Duration interval = table_.small() ? config_.rebootstrap_small : config_.rebootstrap_large;
  next_revisit_ = now + Duration(static_cast<std::int64_t>(static_cast<double>(interval.count()) *
                                                           (0.8 + 0.4 * random_.unit())));
  std::set<proto::Endpoint> absent = bootstrap_endpoints_;
  if (!absent.empty()) {
    table_.for_each(
        [&](const RoutingTable::Entry& entry) { absent.erase(entry.contact.endpoint); });
  }
  for (const proto::Endpoint& endpoint : absent)
    ask_neighbourhood({{}, endpoint}, {Purpose::Kind::kPing}, 1, now);
  if (table_.verified() > 0) return;
  for (std::size_t i = 0; i < std::min(kRememberedAtOnce, remembered_.size()); ++i) {
    ask_neighbourhood(remembered_[random_.below(remembered_.size())], {Purpose::Kind::kPing}, 1,
                      now);
  }
}

}  // namespace shoal::dht
