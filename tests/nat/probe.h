// SPDX-License-Identifier: Apache-2.0
// Sockets that ask a router what it does, as STUN does: in the network of a host, bound to a port
// there, and blunt: what fails throws, but waiting ends with "nothing". IPv4. One thread.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <optional>
#include <string>

#include "tests/nat/internet.h"

namespace shoal::tests {

// "address:port".
std::string text(const sockaddr_in& endpoint);
sockaddr_in endpoint(const std::string& address, int port);

class UdpProbe {
 public:
  UdpProbe(const Host& host, int port);
  ~UdpProbe();
  UdpProbe(const UdpProbe&) = delete;
  UdpProbe& operator=(const UdpProbe&) = delete;

  void send(const sockaddr_in& to, const std::string& datagram = "?") const;
  // Who a datagram came from, waiting so long at most.
  std::optional<sockaddr_in> receive(std::chrono::milliseconds timeout,
                                     std::string* datagram = nullptr) const;

 private:
  int socket_;
};

class TcpProbe {
 public:
  // A socket of this port; others of it may be beside it (SO_REUSEPORT).
  TcpProbe(const Host& host, int port);
  ~TcpProbe();
  TcpProbe(TcpProbe&& other) noexcept;
  TcpProbe& operator=(TcpProbe&&) = delete;

  void listen() const;
  // The peer of a connection that came in, if one did.
  std::optional<sockaddr_in> accept(std::chrono::milliseconds timeout) const;
  void begin_connect(const sockaddr_in& to) const;
  // Whether the connection is up; false for one that was refused too.
  bool connected(std::chrono::milliseconds timeout) const;

 private:
  int socket_;
};

}  // namespace shoal::tests
