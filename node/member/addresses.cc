// SPDX-License-Identifier: Apache-2.0
#include "node/member/addresses.h"

#include <algorithm>
#include <optional>

#include "dht/diversity.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

using proto::Endpoint;

// What speaks for an address; the least comes first.
enum Rank : int {
  kObservedPublic,   // others beyond our network see us there
  kDefaultPublic,    // our way to the Internet, without a translator
  kObservedPrivate,  // neighbours see us there
  kTranslated,       // not on this machine: a router's, which sends our port on to us
  kJoin,             // our way to whom we joined
  kDefaultPrivate,
  kMet,    // somebody came to us there
  kOther,  // hardware that nothing speaks for
  kLinkLocal,
  kDeprecated,
  kAnnounced,  // the end of what is worth announcing while there is anything else
  kIdle,       // no cable
  kVirtual,    // bridges and tunnels that nobody came through
  kIdleVirtual,
};

// A router's address is believed when so many say it, strangers from so many networks: one liar
// must not make others dial somebody.
constexpr std::size_t kWitnesses = 3;

struct Candidate {
  int rank = kVirtual;
  Endpoint address;
};

bool same_address(const Endpoint& a, const Endpoint& b) { return a.address == b.address; }

bool is_link_local_v4(const Endpoint& a) {
  return a.is_v4() && a.address[12] == 169 && a.address[13] == 254;
}

class Choice {
 public:
  explicit Choice(const AddressFacts& facts) : facts_(facts) {}

  std::vector<Endpoint> run() {
    if (facts_.loopback_swarm) return loopback();
    add_own();
    add_translated();
    std::stable_sort(candidates_.begin(), candidates_.end(), [](const auto& a, const auto& b) {
      if (a.rank != b.rank) return a.rank < b.rank;
      const bool a_far = !dht::is_exempt(a.address), b_far = !dht::is_exempt(b.address);
      if (a_far != b_far) return a_far;
      return a.address.is_v4() && !b.address.is_v4();
    });
    std::vector<Endpoint> result = best();
    return result.empty() ? loopback() : result;
  }

 private:
  bool may_announce(const Endpoint& address) const {
    return (address.is_v4() || !facts_.bound.is_v4()) && with_port(address).is_usable();
  }

  Endpoint with_port(Endpoint address) const {
    address.port = facts_.bound.port;
    return address;
  }

  const net::InterfaceAddress* find(const Endpoint& address) const {
    const auto it = std::find_if(
        facts_.interfaces.begin(), facts_.interfaces.end(),
        [&](const net::InterfaceAddress& own) { return same_address(own.address, address); });
    return it == facts_.interfaces.end() ? nullptr : &*it;
  }

  // Others may see us at an IPv6 address that is gone tomorrow; its neighbour on the same interface
  // and network is as good, and stays.
  Endpoint lasting(const Endpoint& address) const {
    const net::InterfaceAddress* own = find(address);
    if (own == nullptr || !(own->temporary || own->deprecated)) return address;
    for (const net::InterfaceAddress& other : facts_.interfaces) {
      if (other.index == own->index && !other.temporary && !other.deprecated &&
          !other.address.is_v4() &&
          std::equal(other.address.address.begin(), other.address.address.begin() + 8,
                     own->address.address.begin()))
        return other.address;
    }
    return address;
  }

  template <typename List, typename Address>
  bool among(const Endpoint& own, const List& list, Address&& address) const {
    return std::any_of(list.begin(), list.end(), [&](const auto& entry) {
      return same_address(lasting(address(entry)), own);
    });
  }

  // What speaks for this very address; kVirtual: nothing.
  int vouched(const net::InterfaceAddress& own) const {
    const Endpoint& address = own.address;
    const bool exempt = dht::is_exempt(address);
    const auto source = [](const net::Route& route) { return route.source; };
    if (among(address, facts_.observed,
              [](const dht::ObservedAddress& seen) { return seen.endpoint; }))
      return exempt ? kObservedPrivate : kObservedPublic;
    if (among(address, facts_.default_routes, source))
      return exempt ? kDefaultPrivate : kDefaultPublic;
    if (among(address, facts_.join_routes, source)) return kJoin;
    if (among(address, facts_.met, [](const Endpoint& met) { return met; })) return kMet;
    return kVirtual;
  }

  int rank_of(const net::InterfaceAddress& own) const {
    if (const int rank = vouched(own); rank != kVirtual) return rank;
    // Where somebody came through by one address, the others of that interface are good, too.
    const bool leads_nowhere =
        own.is_virtual && std::none_of(facts_.interfaces.begin(), facts_.interfaces.end(),
                                       [&](const net::InterfaceAddress& other) {
                                         return other.index == own.index &&
                                                vouched(other) != kVirtual;
                                       });
    if (leads_nowhere) return own.running ? kVirtual : kIdleVirtual;
    if (!own.running) return kIdle;
    if (own.deprecated) return kDeprecated;
    return is_link_local_v4(own.address) ? kLinkLocal : kOther;
  }

  void add_own() {
    for (const net::InterfaceAddress& own : facts_.interfaces) {
      if (own.loopback || own.address.is_loopback() || !may_announce(own.address)) continue;
      if (!same_address(lasting(own.address), own.address)) continue;
      candidates_.push_back({rank_of(own), own.address});
    }
  }

  void add_translated() {
    for (const dht::ObservedAddress& seen : facts_.observed) {
      const Endpoint& address = seen.endpoint;
      const std::size_t witnesses = dht::is_exempt(address) ? seen.peers : seen.networks;
      // Another port is one that the router made up, and lets nobody else in by.
      if (find(address) == nullptr && address.port == facts_.bound.port &&
          witnesses >= kWitnesses && may_announce(address))
        candidates_.push_back({kTranslated, address});
    }
  }

  // The best four, of which the other family has at least one, if there is one of the same worth.
  std::vector<Endpoint> best() const {
    std::vector<Endpoint> result;
    const bool fallback = candidates_.empty() || candidates_.front().rank > kAnnounced;
    const auto add = [&](const Candidate& candidate) {
      const Endpoint address = with_port(candidate.address);
      if (std::find(result.begin(), result.end(), address) == result.end())
        result.push_back(address);
    };
    for (const Candidate& candidate : candidates_) {
      if (!fallback && candidate.rank > kAnnounced) break;
      if (result.size() == proto::kMaxRecordAddresses) {
        const bool v4 = result.front().is_v4();
        const bool one_family =
            std::all_of(result.begin(), result.end(),
                        [&](const Endpoint& address) { return address.is_v4() == v4; });
        if (!one_family) break;
        if (candidate.address.is_v4() == v4) continue;
        result.pop_back();
      }
      add(candidate);
    }
    return result;
  }

  std::vector<Endpoint> loopback() const {
    std::vector<Endpoint> result;
    for (const net::Route& route : facts_.join_routes) {
      const Endpoint address = with_port(route.source);
      if (address.is_loopback() && may_announce(address) &&
          result.size() < proto::kMaxRecordAddresses &&
          std::find(result.begin(), result.end(), address) == result.end())
        result.push_back(address);
    }
    if (result.empty()) result.push_back(Endpoint::v4({127, 0, 0, 1}, facts_.bound.port));
    return result;
  }

  const AddressFacts& facts_;
  std::vector<Candidate> candidates_;
};

}  // namespace

std::vector<Endpoint> choose_addresses(const AddressFacts& facts) {
  if (!facts.bound.is_unspecified()) return {facts.bound};
  return Choice(facts).run();
}

bool loopback_swarm(std::span<const Endpoint> others) {
  return !others.empty() && std::all_of(others.begin(), others.end(),
                                        [](const Endpoint& other) { return other.is_loopback(); });
}

}  // namespace shoal::node
