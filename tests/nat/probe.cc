// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace shoal::tests {
namespace {

using std::chrono::milliseconds;

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

int bound_socket(const Host& host, int type, int port) {
  const int result =
      host.network.within([&] { return socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
  must(result >= 0, "socket");
  const int yes = 1;
  must(setsockopt(result, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0, "SO_REUSEADDR");
  must(setsockopt(result, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) == 0, "SO_REUSEPORT");
  const sockaddr_in own = endpoint("0.0.0.0", port);
  must(bind(result, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0, "bind");
  return result;
}

bool wait_for(int socket, short events, milliseconds timeout) {
  pollfd file{.fd = socket, .events = events, .revents = 0};
  return poll(&file, 1, static_cast<int>(timeout.count())) == 1;
}

}  // namespace

std::string text(const sockaddr_in& endpoint) {
  return fmt::format("{}:{}", inet_ntoa(endpoint.sin_addr), ntohs(endpoint.sin_port));
}

sockaddr_in endpoint(const std::string& address, int port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(static_cast<std::uint16_t>(port));
  must(inet_aton(address.c_str(), &result.sin_addr) == 1, "inet_aton");
  return result;
}

UdpProbe::UdpProbe(const Host& host, int port) : socket_(bound_socket(host, SOCK_DGRAM, port)) {}
UdpProbe::~UdpProbe() { close(socket_); }

void UdpProbe::send(const sockaddr_in& to, const std::string& datagram) const {
  const ssize_t sent = sendto(socket_, datagram.data(), datagram.size(), 0,
                              reinterpret_cast<const sockaddr*>(&to), sizeof to);
  must(sent == static_cast<ssize_t>(datagram.size()), "send");
}

std::optional<sockaddr_in> UdpProbe::receive(milliseconds timeout, std::string* datagram) const {
  sockaddr_in from{};
  socklen_t size = sizeof from;
  std::string bytes(2048, '\0');
  if (!wait_for(socket_, POLLIN, timeout)) return std::nullopt;
  const ssize_t got =
      recvfrom(socket_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (got < 0) return std::nullopt;
  if (datagram != nullptr) *datagram = bytes.substr(0, static_cast<std::size_t>(got));
  return from;
}

TcpProbe::TcpProbe(const Host& host, int port) : socket_(bound_socket(host, SOCK_STREAM, port)) {}
TcpProbe::TcpProbe(TcpProbe&& other) noexcept : socket_(other.socket_) { other.socket_ = -1; }
TcpProbe::~TcpProbe() {
  if (socket_ >= 0) close(socket_);
}

void TcpProbe::listen() const { must(::listen(socket_, 4) == 0, "listen"); }

std::optional<sockaddr_in> TcpProbe::accept(milliseconds timeout) const {
  if (!wait_for(socket_, POLLIN, timeout)) return std::nullopt;
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const int visitor = accept4(socket_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC);
  if (visitor < 0) return std::nullopt;
  close(visitor);
  return from;
}

void TcpProbe::begin_connect(const sockaddr_in& to) const {
  const int outcome = connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  // EADDRNOTAVAIL: the other side was faster, and its connection of these two ports stands.
  must(outcome == 0 || errno == EINPROGRESS || errno == EADDRNOTAVAIL, "connect");
}

bool TcpProbe::connected(milliseconds timeout) const {
  if (!wait_for(socket_, POLLOUT, timeout)) return false;
  tcp_info info{};
  socklen_t size = sizeof info;
  must(getsockopt(socket_, IPPROTO_TCP, TCP_INFO, &info, &size) == 0, "TCP_INFO");
  return info.tcpi_state == TCP_ESTABLISHED;
}

}  // namespace shoal::tests
