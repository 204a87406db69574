// SPDX-License-Identifier: Apache-2.0
// The addresses that this node announces, kept true: chosen anew (node/addresses.h) when the
// machine's network changes, when peers see us elsewhere, and when a swarm that was on this machine
// reaches beyond it. Thread rule: list() anywhere; the rest on the io_context's thread, where the
// callback runs and where it is destroyed, before the DHT's service.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "dht/udp_service.h"
#include "net/interfaces.h"
#include "node/member/addresses.h"
#include "proto/endpoint.h"

namespace boost::asio {
class io_context;
}

namespace shoal::net {
class InterfaceWatch;
}

namespace shoal::node {

struct OwnAddressesOptions {
  proto::Endpoint bound;                   // what the sockets listen on, with the port
  std::vector<proto::Endpoint> join;       // whom we join by
  std::vector<proto::Endpoint> announced;  // by --announce: these, whatever the machine has
};

class OwnAddresses {
 public:
  // `changed` is told after the list has, with the log's line written.
  OwnAddresses(boost::asio::io_context& io, dht::UdpService& dht, OwnAddressesOptions options,
               std::function<void()> changed);
  ~OwnAddresses();
  OwnAddresses(const OwnAddresses&) = delete;
  OwnAddresses& operator=(const OwnAddresses&) = delete;

  std::vector<proto::Endpoint> list() const;  // never empty, best first

  // Where the other nodes of the swarm are, as far as it is known: they may all be on this machine.
  void learn_others(std::span<const dht::Record> records);
  // Reads the machine's network and chooses anew.
  void look();

 private:
  void choose();
  void ask_whether_others_are_here();

  dht::UdpService& dht_;
  const OwnAddressesOptions options_;
  const std::function<void()> changed_;
  bool joined_by_loopback_ = false;
  bool others_are_here_ = true;  // until we hear of one elsewhere
  std::vector<net::InterfaceAddress> interfaces_;
  mutable base::Mutex mutex_;
  std::vector<proto::Endpoint> list_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<net::InterfaceWatch> watch_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace shoal::node
