// SPDX-License-Identifier: Apache-2.0
// The DHT's UDP socket: bound, non-blocking, never fragmenting; it tells at which of this machine's
// addresses a datagram came in, and sends from the address it is told to (IP_PKTINFO, for which
// Asio has no words). For the shell only. Owns the socket; one thread at a time.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/endpoint.h"

namespace shoal::dht {

// An address of this machine, as in proto::Endpoint.
using LocalAddress = std::array<std::uint8_t, 16>;

class UdpSocket {
 public:
  // [::] serves both families; on a machine without IPv6 it means 0.0.0.0. ALREADY_EXISTS when the
  // port is taken; messages name the way out.
  static absl::StatusOr<UdpSocket> open(boost::asio::io_context& io, const proto::Endpoint& listen);

  struct Arrival {
    std::size_t size = 0;  // 0 is an empty datagram, or one whose receiver was told of an error
    proto::Endpoint from;
    std::optional<LocalAddress> to;  // absent: the socket is bound to one address
  };
  // nullopt: nothing more for now. What is longer than the buffer comes as long as the buffer.
  std::optional<Arrival> receive(std::span<char> buffer);
  // From `from`, or the kernel's choice when it is null. False when this machine cannot send that:
  // the address is gone, or no way leads there. A full buffer is loss, as on the way.
  bool send(std::string_view bytes, const proto::Endpoint& to, const LocalAddress* from);

  // Runs the handler when there may be something to receive.
  template <typename Handler>
  void async_wait_readable(Handler&& handler) {
    socket_.async_wait(boost::asio::ip::udp::socket::wait_read, std::forward<Handler>(handler));
  }
  proto::Endpoint local_endpoint() const;
  boost::asio::ip::udp::socket::executor_type get_executor() { return socket_.get_executor(); }
  void close();

 private:
  UdpSocket(boost::asio::ip::udp::socket socket, bool v6) : socket_(std::move(socket)), v6_(v6) {}

  boost::asio::ip::udp::socket socket_;
  bool v6_;
};

}  // namespace shoal::dht
