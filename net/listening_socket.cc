// SPDX-License-Identifier: Apache-2.0
#include "net/listening_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "net/socket_address.h"

namespace shoal::net {
namespace {

constexpr int kBacklog = 256;

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
  // Only now, so that another program's port is still noticed: connections that leave from this
  // port, by which the router's mapping of it stays known.
  setsockopt(result.fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  result.endpoint = listen;
  result.endpoint.port = endpoint_of(address).port;
  return result;
}

}  // namespace shoal::net
