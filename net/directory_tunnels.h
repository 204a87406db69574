// SPDX-License-Identifier: Apache-2.0
// The connections by which datagrams of the directory go where UDP does not pass
// (docs/protocol-dht.md, "Through connections"): those that we make, one per contact, and those
// that come in at a front's door, each of which speaks for nobody but itself. Thread rule: as
// dht::DatagramTunnels; the door is called on any. close() it before the front whose visitors it
// has goes.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "dht/datagram_tunnels.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "net/directory_tunnel.h"
#include "net/door.h"
#include "net/tls_context.h"

namespace shoal::net {

class DirectoryTunnels final : public dht::DatagramTunnels,
                               public std::enable_shared_from_this<DirectoryTunnels> {
 public:
  DirectoryTunnels(boost::asio::io_context& io, const identity::Identity& identity,
                   const std::optional<identity::SwarmKey>& swarm_key);

  void start(Receive receive) override;
  void send(std::string_view datagram, const proto::Endpoint& to) override;
  bool is_up(const proto::Endpoint& to) const override;
  void hang_up() override;
  void close() override;

  ~DirectoryTunnels() override { close(); }

  // For a front's kDirectoryProtocol. It may outlive `tunnels`, and does not keep them.
  static Door door(const std::shared_ptr<DirectoryTunnels>& tunnels);
  // Connections that live, of either kind. On the io thread.
  std::size_t dialled() const { return dialled_.size(); }
  std::size_t accepted() const { return accepted_.size(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Tunnel = std::shared_ptr<DirectoryTunnel>;
  using Tunnels = std::map<proto::Endpoint, Tunnel>;

  void admit(Visitor visitor);
  void dial(const proto::Endpoint& to, std::string_view datagram);
  void sweep();
  DirectoryTunnel::Receive receiver();

  boost::asio::io_context& io_;
  const TlsContext tls_;
  Receive receive_;
  bool closed_ = false;
  std::uint64_t next_number_ = 1;
  Tunnels dialled_;   // by the contact's endpoint; those that failed stay for a moment
  Tunnels accepted_;  // by their dht::tunnel_endpoint()
  boost::asio::steady_timer timer_;
};

}  // namespace shoal::net
