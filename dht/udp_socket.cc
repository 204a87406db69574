// SPDX-License-Identifier: Apache-2.0
#include "dht/udp_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>

#include "absl/strings/str_cat.h"

namespace shoal::dht {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;

// A burst of answers to one lookup, and of a whole swarm that greets a newcomer, must fit while we
// compute.
constexpr int kReceiveBufferBytes = 1 << 20;

absl::Status failed(const proto::Endpoint& listen, const boost::system::error_code& error) {
  const std::string where = proto::to_string(listen);
  if (error == asio::error::address_in_use) {
    return absl::AlreadyExistsError(absl::StrCat(
        "UDP port ", where,
        " is taken by another program: choose another port with --listen HOST:PORT, or port 0 "
        "for a free one"));
  }
  if (error.value() == EADDRNOTAVAIL) {
    return absl::InvalidArgumentError(
        absl::StrCat(where,
                     " is not an address of this machine: listen on one of its own, or on 0.0.0.0 "
                     "for all of them"));
  }
  if (error == asio::error::access_denied) {
    return absl::PermissionDeniedError(
        absl::StrCat("this user may not listen on UDP port ", where, ": choose a port above 1023"));
  }
  return absl::UnavailableError(
      absl::StrCat("cannot listen on UDP port ", where, ": ", error.message()));
}

}  // namespace

proto::Endpoint from_asio(const udp::endpoint& endpoint) {
  proto::Endpoint result;
  if (endpoint.address().is_v4()) {
    return proto::Endpoint::v4(endpoint.address().to_v4().to_bytes(), endpoint.port());
  }
  result.address = endpoint.address().to_v6().to_bytes();
  result.port = endpoint.port();
  return result;
}

udp::endpoint to_asio(const proto::Endpoint& endpoint, bool v6) {
  if (v6 || !endpoint.is_v4()) return {asio::ip::address_v6(endpoint.address), endpoint.port};
  asio::ip::address_v4::bytes_type bytes;
  std::copy(endpoint.address.begin() + 12, endpoint.address.end(), bytes.begin());
  return {asio::ip::address_v4(bytes), endpoint.port};
}

absl::StatusOr<udp::socket> open_udp_socket(asio::io_context& io, const proto::Endpoint& listen) {
  const bool v6 = !listen.is_v4();
  udp::socket socket(io);
  boost::system::error_code error;
  socket.open(v6 ? udp::v6() : udp::v4(), error);
  if (error) return failed(listen, error);
  boost::system::error_code ignored;
  // "[::]" serves both families; a single IPv6 address serves its own.
  if (v6) socket.set_option(asio::ip::v6_only(!listen.is_unspecified()), ignored);
  socket.set_option(asio::socket_base::receive_buffer_size(kReceiveBufferBytes), ignored);
  const int probe =
      IP_PMTUDISC_PROBE;  // don't-fragment bit, whatever the kernel believes of the path
  if (v6) {
    ::setsockopt(socket.native_handle(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof(probe));
  } else {
    ::setsockopt(socket.native_handle(), IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe));
  }
  socket.bind(to_asio(listen, v6), error);
  if (error) return failed(listen, error);
  socket.non_blocking(true, error);
  if (error) return failed(listen, error);
  return socket;
}

}  // namespace shoal::dht
