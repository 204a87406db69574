// SPDX-License-Identifier: Apache-2.0
#include "net/punch_dial.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "net/socket_address.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

// Packets that come with fewer hops left are ignored, and errors about our own that had fewer left
// when they died: for a first packet that is to die on its way.
constexpr int kLeastPunchHops = 8;
constexpr int kUsualPunchHops = 64;

void set_punch_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

}  // namespace

int open_punch_socket(std::uint16_t local_port, const proto::Endpoint& to, int hops) {
  const bool v4 = to.is_v4();
  const int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  set_punch_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_punch_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  set_punch_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_punch_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(proto::kKeepaliveTimeoutMs));
  if (!v4) set_punch_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const int limit = v4 ? IP_TTL : IPV6_UNICAST_HOPS;
  const int least = v4 ? IP_MINTTL : IPV6_MINHOPCOUNT;
  if (hops > 0) {
    set_punch_option(fd, level, limit, hops);
    set_punch_option(fd, level, least, kLeastPunchHops);
  }
  proto::Endpoint any;
  if (v4) any = proto::Endpoint::v4({0, 0, 0, 0}, 0);
  any.port = local_port;
  sockaddr_storage address;
  socklen_t size = to_system(any, address);
  bool begun = bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
  if (begun) {
    size = to_system(to, address);
    begun =
        connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0 || errno == EINPROGRESS;
  }
  if (!begun) {
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  // The first packet has left; what follows must arrive.
  if (hops > 0) set_punch_option(fd, level, limit, v4 ? kUsualPunchHops : -1);
  return fd;
}

PunchDial::PunchDial(boost::asio::io_context& io, std::uint16_t local_port)
    : io_(io), local_port_(local_port), timer_(io) {}

void PunchDial::start(const std::vector<proto::Endpoint>& targets, int hops,
                      std::chrono::milliseconds window, OnConnected on_connected,
                      std::function<void()> on_over) {
  on_connected_ = std::move(on_connected);
  on_over_ = std::move(on_over);
  for (const proto::Endpoint& to : targets) {
    const int fd = open_punch_socket(local_port_, to, hops);
    if (fd < 0) continue;  // among others: that very connection has come up from the other end
    auto attempt = std::make_shared<Attempt>(Attempt{to, std::make_unique<Descriptor>(io_, fd)});
    attempts_.push_back(attempt);
    attempt->socket->async_wait(
        Descriptor::wait_write,
        [self = shared_from_this(), attempt](const boost::system::error_code& error) {
          if (!error && attempt->socket != nullptr) self->finished(*attempt);
        });
  }
  // Also where nothing could be begun: the other end may come to us meanwhile.
  timer_.expires_after(window);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->over();
  });
}

void PunchDial::finished(Attempt& attempt) {
  const int fd = attempt.socket->native_handle();
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
    attempt.socket.reset();
    return;
  }
  set_punch_option(fd, attempt.to.is_v4() ? IPPROTO_IP : IPPROTO_IPV6,
                   attempt.to.is_v4() ? IP_MINTTL : IPV6_MINHOPCOUNT, 0);
  const int connected = attempt.socket->release();
  attempt.socket.reset();
  const OnConnected on_connected = on_connected_;  // it may cancel
  if (on_connected) return on_connected(connected, attempt.to);
  ::close(connected);
}

bool PunchDial::is_waiting() const {
  return std::ranges::any_of(attempts_,
                             [](const auto& attempt) { return attempt->socket != nullptr; });
}

void PunchDial::over() {
  const auto on_over = std::move(on_over_);
  cancel();
  if (on_over) on_over();
}

void PunchDial::cancel() {
  on_connected_ = nullptr;
  on_over_ = nullptr;
  timer_.cancel();
  for (const auto& attempt : attempts_) attempt->socket.reset();
  attempts_.clear();
}

}  // namespace shoal::net
