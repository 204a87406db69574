// SPDX-License-Identifier: Apache-2.0
#include "net/directory_tunnels.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "dht/diversity.h"
#include "dht/tunnel_endpoint.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSweepEvery{1'000};
// A contact that could not be reached is not tried again sooner.
constexpr milliseconds kRedialPause{1'000};
constexpr milliseconds kConnectTimeout{proto::kConnectTimeoutMs};
constexpr milliseconds kDialledIdle{proto::kDialledTunnelIdleMs};
constexpr milliseconds kAcceptedIdle{proto::kAcceptedTunnelIdleMs};
// Of one network, however many peers it has: whoever has few networks pushes out its own.
constexpr std::size_t kMaxTunnelsPerNetwork = proto::kMaxAcceptedTunnels / 4;

}  // namespace

DirectoryTunnels::DirectoryTunnels(boost::asio::io_context& io, const identity::Identity& identity,
                                   const std::optional<identity::SwarmKey>& swarm_key)
    : io_(io), tls_(identity::make_certificate(identity, swarm_key), swarm_key), timer_(io) {}

void DirectoryTunnels::start(Receive receive) { receive_ = std::move(receive); }

DirectoryTunnel::Receive DirectoryTunnels::receiver() {
  return [weak = weak_from_this()](std::string_view datagram, const proto::Endpoint& from) {
    const auto self = weak.lock();
    if (self != nullptr && !self->closed_ && self->receive_) self->receive_(datagram, from);
  };
}

void DirectoryTunnels::send(std::string_view datagram, const proto::Endpoint& to) {
  if (closed_ || datagram.empty()) return;
  if (dht::is_tunnel(to)) {
    if (const auto found = accepted_.find(to); found != accepted_.end())
      found->second->send(datagram);
    return;
  }
  const auto found = dialled_.find(to);
  if (found == dialled_.end()) return dial(to, datagram);
  if (!found->second->is_closed()) return found->second->send(datagram);
  if (!found->second->came_up() && Clock::now() < found->second->begun() + kRedialPause) return;
  dialled_.erase(found);
  dial(to, datagram);
}

void DirectoryTunnels::dial(const proto::Endpoint& to, std::string_view datagram) {
  if (dialled_.size() >= proto::kMaxDialledTunnels) {
    const auto oldest = std::ranges::min_element(
        dialled_, {}, [](const auto& entry) { return entry.second->used(); });
    oldest->second->close();
    dialled_.erase(oldest);
  }
  const auto tunnel = std::make_shared<DirectoryTunnel>(io_, to);
  dialled_[to] = tunnel;
  tunnel->dial(tls_, receiver());
  tunnel->send(datagram);
  sweep();
}

bool DirectoryTunnels::is_up(const proto::Endpoint& to) const {
  const auto found = dialled_.find(to);
  return found != dialled_.end() && found->second->is_up();
}

Door DirectoryTunnels::door(const std::shared_ptr<DirectoryTunnels>& tunnels) {
  return [&io = tunnels->io_, weak = std::weak_ptr(tunnels)](Visitor visitor) {
    // A handler must be copyable; what nobody takes goes with its last copy.
    const std::shared_ptr<Visitor> held(new Visitor(std::move(visitor)), [](Visitor* left) {
      left->tls.reset();
      if (left->socket >= 0) ::close(left->socket);
      delete left;
    });
    if (weak.expired()) return;  // and perhaps the context
    boost::asio::post(io, [weak, held] {
      const auto self = weak.lock();
      if (self == nullptr || self->closed_) return;
      self->admit(std::move(*held));
      held->socket = -1;
    });
  };
}

void DirectoryTunnels::admit(Visitor visitor) {
  // Of one peer, and in all: whoever comes pushes out the longest unused.
  const auto make_room = [&](std::size_t limit, auto&& counts) {
    std::size_t count = 0;
    auto oldest = accepted_.end();
    for (auto entry = accepted_.begin(); entry != accepted_.end(); ++entry) {
      if (!counts(*entry->second)) continue;
      ++count;
      if (oldest == accepted_.end() || entry->second->used() < oldest->second->used())
        oldest = entry;
    }
    if (count < limit) return;
    oldest->second->close();
    accepted_.erase(oldest);
  };
  make_room(proto::kMaxTunnelsPerPeer,
            [&](const DirectoryTunnel& tunnel) { return tunnel.peer() == visitor.peer; });
  const proto::Endpoint contact = dht::tunnel_endpoint(visitor.from, next_number_++);
  const std::size_t of_network =
      dht::is_exempt(visitor.from) ? proto::kMaxAcceptedTunnels : kMaxTunnelsPerNetwork;
  make_room(of_network, [&](const DirectoryTunnel& tunnel) {
    return dht::narrow_network(tunnel.contact()) == dht::narrow_network(contact);
  });
  make_room(proto::kMaxAcceptedTunnels, [](const DirectoryTunnel&) { return true; });
  const auto tunnel = std::make_shared<DirectoryTunnel>(io_, contact);
  accepted_[contact] = tunnel;
  tunnel->receive_visitor(std::move(visitor), receiver());
  sweep();
}

void DirectoryTunnels::sweep() {
  const auto now = Clock::now();
  std::erase_if(dialled_, [&](const auto& entry) {
    DirectoryTunnel& tunnel = *entry.second;
    if (tunnel.is_closed()) return now >= tunnel.begun() + kRedialPause;
    const bool late = !tunnel.is_up() && now >= tunnel.begun() + kConnectTimeout;
    if (late || now >= tunnel.used() + kDialledIdle) tunnel.close();
    return tunnel.is_closed();
  });
  std::erase_if(accepted_, [&](const auto& entry) {
    DirectoryTunnel& tunnel = *entry.second;
    const Admission* admission = tunnel.admission();
    if (now >= tunnel.used() + kAcceptedIdle || (admission != nullptr && admission->is_banned()))
      tunnel.close();
    return tunnel.is_closed();
  });
  if (closed_ || (dialled_.empty() && accepted_.empty())) return;
  timer_.expires_after(kSweepEvery);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->sweep();
  });
}

void DirectoryTunnels::hang_up() {
  for (const auto& [contact, tunnel] : dialled_) tunnel->close();
  dialled_.clear();
}

void DirectoryTunnels::close() {
  closed_ = true;
  hang_up();
  for (const auto& [contact, tunnel] : accepted_) tunnel->close();
  accepted_.clear();
  timer_.cancel();
}

}  // namespace shoal::net
