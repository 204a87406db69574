// SPDX-License-Identifier: Apache-2.0
#include "dht/udp_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <cstring>

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

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

LocalAddress mapped(const in_addr& address) {
  std::array<std::uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &address, bytes.size());
  return proto::Endpoint::v4(bytes, 0).address;
}

proto::Endpoint endpoint_of(const Address& address) {
  proto::Endpoint result;
  if (address.any.sa_family == AF_INET) {
    result.address = mapped(address.v4.sin_addr);
    result.port = ntohs(address.v4.sin_port);
  } else {
    std::memcpy(result.address.data(), &address.v6.sin6_addr, result.address.size());
    result.port = ntohs(address.v6.sin6_port);
  }
  return result;
}

// For a socket of that family: IPv4 addresses are mapped when it is IPv6.
socklen_t fill(Address& out, const proto::Endpoint& endpoint, bool v6) {
  std::memset(&out, 0, sizeof(out));
  if (!v6) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(endpoint.port);
    std::memcpy(&out.v4.sin_addr, endpoint.address.data() + 12, 4);
    return sizeof(out.v4);
  }
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(endpoint.port);
  std::memcpy(&out.v6.sin6_addr, endpoint.address.data(), endpoint.address.size());
  return sizeof(out.v6);
}

// The address that a datagram was sent to, of the kernel's remarks on it.
std::optional<LocalAddress> destination_of(msghdr& message) {
  for (cmsghdr* note = CMSG_FIRSTHDR(&message); note != nullptr;
       note = CMSG_NXTHDR(&message, note)) {
    if (note->cmsg_level == IPPROTO_IP && note->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(note), sizeof(info));
      return mapped(info.ipi_spec_dst);  // ours, also when it was sent to a broadcast address
    }
    if (note->cmsg_level == IPPROTO_IPV6 && note->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(note), sizeof(info));
      LocalAddress result;
      std::memcpy(result.data(), &info.ipi6_addr, result.size());
      return result;
    }
  }
  return std::nullopt;
}

// Asks the kernel to send from `from`. No interface is named: where a packet goes is the routing
// table's to say.
void add_source(msghdr& message, std::span<char> room, const LocalAddress& from, bool v6) {
  message.msg_control = room.data();
  if (v6) {
    message.msg_controllen = CMSG_SPACE(sizeof(in6_pktinfo));
    cmsghdr* note = CMSG_FIRSTHDR(&message);
    note->cmsg_level = IPPROTO_IPV6;
    note->cmsg_type = IPV6_PKTINFO;
    note->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, from.data(), from.size());
    std::memcpy(CMSG_DATA(note), &info, sizeof(info));
  } else {
    message.msg_controllen = CMSG_SPACE(sizeof(in_pktinfo));
    cmsghdr* note = CMSG_FIRSTHDR(&message);
    note->cmsg_level = IPPROTO_IP;
    note->cmsg_type = IP_PKTINFO;
    note->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, from.data() + 12, 4);
    std::memcpy(CMSG_DATA(note), &info, sizeof(info));
  }
}

// A kernel without IPv6, or one told not to use it.
bool is_without_v6(const boost::system::error_code& error) {
  return error.value() == EAFNOSUPPORT || error.value() == EADDRNOTAVAIL;
}

absl::StatusOr<udp::socket> open_socket(asio::io_context& io, const proto::Endpoint& listen,
                                        bool v6, boost::system::error_code& error) {
  udp::socket socket(io);
  socket.open(v6 ? udp::v6() : udp::v4(), error);
  if (error) return failed(listen, error);
  boost::system::error_code ignored;
  // "[::]" serves both families; a single IPv6 address serves its own.
  if (v6) socket.set_option(asio::ip::v6_only(!listen.is_unspecified()), ignored);
  socket.set_option(asio::socket_base::receive_buffer_size(kReceiveBufferBytes), ignored);
  const auto set = [&](int level, int name, int value) {
    ::setsockopt(socket.native_handle(), level, name, &value, sizeof(value));
  };
  // The don't-fragment bit, whatever the kernel believes of the path.
  set(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  if (v6) set(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  if (listen.is_unspecified())
    v6 ? set(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) : set(IPPROTO_IP, IP_PKTINFO, 1);
  Address address{};
  const socklen_t size = fill(address, listen, v6);
  if (::bind(socket.native_handle(), &address.any, size) != 0) {
    error = boost::system::error_code(errno, boost::system::system_category());
    return failed(listen, error);
  }
  socket.non_blocking(true, error);
  if (error) return failed(listen, error);
  return socket;
}

}  // namespace

absl::StatusOr<UdpSocket> UdpSocket::open(asio::io_context& io, const proto::Endpoint& listen) {
  bool v6 = !listen.is_v4();
  boost::system::error_code error;
  absl::StatusOr<udp::socket> socket = open_socket(io, listen, v6, error);
  if (!socket.ok() && v6 && listen.is_unspecified() && is_without_v6(error)) {
    v6 = false;
    socket = open_socket(io, proto::Endpoint::v4({0, 0, 0, 0}, listen.port), v6, error);
  }
  if (!socket.ok()) return socket.status();
  return UdpSocket(*std::move(socket), v6);
}

std::optional<UdpSocket::Arrival> UdpSocket::receive(std::span<char> buffer) {
  Address from{};
  iovec data{buffer.data(), buffer.size()};
  alignas(cmsghdr) char notes[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo))];
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof(from);
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = notes;
  message.msg_controllen = sizeof(notes);
  const ssize_t size = ::recvmsg(socket_.native_handle(), &message, 0);
  if (size >= 0)
    return Arrival{static_cast<std::size_t>(size), endpoint_of(from), destination_of(message)};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EBADF) return std::nullopt;
  return Arrival{};  // e.g. an ICMP error of an earlier send: consumed by this call
}

bool UdpSocket::send(std::string_view bytes, const proto::Endpoint& to, const LocalAddress* from) {
  if (!v6_ && !to.is_v4()) return false;
  Address address{};
  iovec data{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char note[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = fill(address, to, v6_);
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (from != nullptr) add_source(message, note, *from, v6_);
  if (::sendmsg(socket_.native_handle(), &message, 0) >= 0) return true;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ECONNREFUSED;
}

proto::Endpoint UdpSocket::local_endpoint() const {
  boost::system::error_code ignored;
  const udp::endpoint local = socket_.local_endpoint(ignored);
  if (local.address().is_v4())
    return proto::Endpoint::v4(local.address().to_v4().to_bytes(), local.port());
  proto::Endpoint result;
  result.address = local.address().to_v6().to_bytes();
  result.port = local.port();
  return result;
}

void UdpSocket::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace shoal::dht
