// SPDX-License-Identifier: Apache-2.0
#include "net/listening_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace shoal::net {
namespace {

constexpr int kBacklog = 256;

socklen_t to_system(const proto::Endpoint& endpoint, sockaddr_storage& storage) {
  storage = {};
  if (endpoint.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    std::memcpy(&v4->sin_addr, endpoint.address.data() + 12, 4);
    return sizeof(*v4);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(endpoint.port);
  std::memcpy(&v6->sin6_addr, endpoint.address.data(), 16);
  return sizeof(*v6);
}

absl::Status cannot_listen(const proto::Endpoint& listen, int error) {
  const std::string name = proto::to_string(listen);
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          absl::StrCat("cannot listen on ", name,
                       ": the port is in use by another program. Choose another port with --listen "
                       "(port 0 picks a free one), or stop that program"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot listen on ", name,
          ": this machine does not have that address. Use one of its own addresses, or "
          "0.0.0.0 for all"));
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(
          "cannot listen on ", name, ": not permitted. Choose a port above 1023 with --listen"));
    default:
      return absl::UnavailableError(absl::StrCat("cannot listen on ", name, ": ",
                                                 std::strerror(error),
                                                 ". Choose another address with --listen"));
  }
}

}  // namespace

proto::Endpoint endpoint_of(const sockaddr_storage& address) {
  proto::Endpoint endpoint;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4.sin_addr, 4);
    return proto::Endpoint::v4(bytes, ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(endpoint.address.data(), &v6.sin6_addr, 16);
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

absl::StatusOr<ListeningSocket> listen_on(const proto::Endpoint& listen) {
  sockaddr_storage address;
  socklen_t size = to_system(listen, address);
  ListeningSocket result;
  result.fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (result.fd < 0) return cannot_listen(listen, errno);
  const int one = 1;
  const int zero = 0;
  setsockopt(result.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (address.ss_family == AF_INET6) {
    setsockopt(result.fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
  }
  if (bind(result.fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(result.fd, kBacklog) != 0 ||
      getsockname(result.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int error = errno;
    close(result.fd);
    return cannot_listen(listen, error);
  }
  result.endpoint = listen;
  result.endpoint.port = endpoint_of(address).port;
  return result;
}

}  // namespace shoal::net
