// SPDX-License-Identifier: Apache-2.0
#include "net/relay_tunnel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace shoal::net {
namespace {

// Before other tunnels have their turn.
constexpr int kTunnelChunksPerTurn = 16;

bool only_not_now() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

RelayTunnel::RelayTunnel(const End& caller, const End& target, char* scratch, RelayRates& rates,
                         Time now)
    : caller_(caller.peer),
      target_(target.peer),
      scratch_(scratch),
      rates_(rates),
      last_moved_(now) {
  sides_[0].socket = caller.socket;
  sides_[1].socket = target.socket;
}

RelayTunnel::~RelayTunnel() {
  for (const Side& side : sides_) close(side.socket);
}

bool RelayTunnel::turn(Time now) {
  held_until_ = {};
  for (int i = 0; i < kTunnelChunksPerTurn; ++i) {
    const bool there = carry(sides_[0], sides_[1], now);
    const bool back = !is_over_ && carry(sides_[1], sides_[0], now);
    if (is_over_) return false;
    if (sides_[0].told && sides_[1].told) {
      is_over_ = true;
      return false;
    }
    if (!there && !back) return false;
  }
  return true;
}

// True when something moved and more may.
bool RelayTunnel::carry(Side& from, Side& to, Time now) {
  if (!flush(to, now)) return false;
  if (from.ended) {
    if (!to.told) shutdown(to.socket, SHUT_WR);
    to.told = true;
    return false;
  }
  const std::uint64_t allowed =
      std::min(rates_.callers.allowed(caller_, now), rates_.targets.allowed(target_, now));
  if (allowed == 0) {
    held_until_ = std::max(rates_.callers.later(caller_, now), rates_.targets.later(target_, now));
    return false;
  }
  const ssize_t got =
      recv(from.socket, scratch_, std::min(kTunnelChunkBytes, allowed), MSG_DONTWAIT);
  if (got < 0) {
    if (!only_not_now()) is_over_ = true;
    return false;
  }
  if (got == 0) {
    from.ended = true;
    return true;
  }
  const auto size = static_cast<std::size_t>(got);
  rates_.callers.charge(caller_, size, now);
  rates_.targets.charge(target_, size, now);
  bytes_ += size;
  last_moved_ = now;
  const ssize_t sent = send(to.socket, scratch_, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && !only_not_now()) {
    is_over_ = true;
    return false;
  }
  const std::size_t taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  if (taken < size) to.rest.assign(scratch_ + taken, size - taken);
  return true;
}

// True when nothing is left.
bool RelayTunnel::flush(Side& to, Time now) {
  if (to.rest.empty()) return true;
  const ssize_t sent = send(to.socket, to.rest.data(), to.rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (!only_not_now()) is_over_ = true;
    return false;
  }
  last_moved_ = now;
  to.rest.erase(0, static_cast<std::size_t>(sent));
  if (!to.rest.empty()) return false;
  to.rest = std::string();
  return true;
}

}  // namespace shoal::net
