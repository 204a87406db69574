// SPDX-License-Identifier: Apache-2.0
#include "node/member/own_addresses.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "dht/key.h"
#include "net/interface_watch.h"

namespace shoal::node {
namespace {

std::string names_of(const std::vector<proto::Endpoint>& addresses) {
  std::string names;
  for (const proto::Endpoint& address : addresses)
    names += (names.empty() ? "" : ", ") + proto::to_string(address);
  return names;
}

}  // namespace

OwnAddresses::OwnAddresses(boost::asio::io_context& io, dht::UdpService& dht,
                           OwnAddressesOptions options, std::function<void()> changed)
    : dht_(dht), options_(std::move(options)), changed_(std::move(changed)) {
  joined_by_loopback_ = !options_.join.empty() &&
                        std::all_of(options_.join.begin(), options_.join.end(),
                                    [](const proto::Endpoint& peer) { return peer.is_loopback(); });
  look();
  if (options_.announced.empty() && options_.bound.is_unspecified())
    watch_ = std::make_unique<net::InterfaceWatch>(io, [this] { look(); });
}

OwnAddresses::~OwnAddresses() = default;

std::vector<proto::Endpoint> OwnAddresses::list() const {
  const base::MutexLock lock(mutex_);
  return list_;
}

void OwnAddresses::learn_others(std::span<const dht::Record> records) {
  std::vector<proto::Endpoint> others;
  for (const dht::Record& record : records) {
    if (record.peer_id() == dht_.peer_id()) continue;
    // Whoever is behind a relay is where the relay is, as far as this machine's loopback goes.
    for (const proto::Address& address : record.addresses) others.push_back(address.endpoint);
  }
  others_are_here_ = loopback_swarm(others);
  choose();
}

void OwnAddresses::look() {
  if (options_.announced.empty() && options_.bound.is_unspecified()) {
    interfaces_ = net::interface_addresses();
    std::vector<proto::Endpoint> own;
    for (const net::InterfaceAddress& entry : interfaces_) own.push_back(entry.address);
    dht_.set_own_addresses(std::move(own));
  }
  choose();
  if (watch_ && joined_by_loopback_ && others_are_here_) ask_whether_others_are_here();
}

void OwnAddresses::choose() {
  std::vector<proto::Endpoint> chosen = options_.announced;
  if (chosen.empty()) {
    AddressFacts facts;
    facts.bound = options_.bound;
    facts.interfaces = interfaces_;
    for (const bool v4 : {true, false}) {
      if (const auto route = net::default_route(v4)) facts.default_routes.push_back(*route);
    }
    for (const proto::Endpoint& peer : options_.join) {
      if (const auto route = net::route_to(peer)) facts.join_routes.push_back(*route);
    }
    const dht::Sightings sightings = dht_.sightings();
    facts.observed = sightings.observed;
    facts.met = sightings.met;
    facts.loopback_swarm = joined_by_loopback_ && others_are_here_;
    chosen = choose_addresses(facts);
  }
  bool first = false;
  {
    const base::MutexLock lock(mutex_);
    if (chosen == list_) return;
    first = list_.empty();
    list_ = chosen;
  }
  if (first) return;
  spdlog::info("this node's addresses have changed: it announces {} from now on", names_of(chosen));
  changed_();
}

// A swarm that began on this machine may have spread, and then loopback is of no use to others.
void OwnAddresses::ask_whether_others_are_here() {
  dht_.find(dht::models_key(dht_.swarm_id()),
            [this, alive = std::weak_ptr(alive_)](const std::vector<dht::Record>& records) {
              if (alive.expired()) return;
              const bool others = std::any_of(
                  records.begin(), records.end(),
                  [this](const dht::Record& record) { return record.peer_id() != dht_.peer_id(); });
              if (others) learn_others(records);
            });
}

}  // namespace shoal::node
