// SPDX-License-Identifier: Apache-2.0
#include "tests/net/tls_talker.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "identity/certificate.h"
#include "net/socket_address.h"

namespace shoal::net {
namespace {

constexpr int kPatienceMs = 5'000;

int connect_from(proto::Endpoint from, const proto::Endpoint& to) {
  from.port = 0;
  sockaddr_storage address;
  socklen_t size = to_system(from, address);
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  bool up = bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
  size = to_system(to, address);
  up = up && connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
  if (up) return fd;
  close(fd);
  return -1;
}

}  // namespace

TlsTalker::TlsTalker(const identity::Identity& who, const proto::Endpoint& to,
                     const proto::Endpoint& from,
                     const std::optional<identity::SwarmKey>& swarm_key)
    : context_(identity::make_certificate(who, swarm_key), swarm_key),
      fd_(connect_from(from, to)) {}

TlsTalker::~TlsTalker() {
  tls_.reset();
  if (fd_ >= 0) close(fd_);
}

bool TlsTalker::wait(short events) const {
  pollfd polled{fd_, events, 0};
  return poll(&polled, 1, kPatienceMs) > 0;
}

bool TlsTalker::handshake(const std::string& protocol,
                          const std::optional<proto::PeerId>& expected) {
  if (fd_ < 0) return false;
  tls_ = context_.dial(fd_, expected, protocol);
  for (;;) {
    const TlsStream::Io io = tls_->handshake();
    if (io == TlsStream::Io::kDone) return true;
    if (io != TlsStream::Io::kWantRead && io != TlsStream::Io::kWantWrite) return false;
    if (!wait(io == TlsStream::Io::kWantRead ? POLLIN : POLLOUT)) return false;
  }
}

bool TlsTalker::send(std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t taken = 0;
    const TlsStream::Io io = tls_->write(bytes.data(), bytes.size(), taken);
    bytes.remove_prefix(taken);
    if (io == TlsStream::Io::kDone) continue;
    if (io != TlsStream::Io::kWantWrite || !wait(POLLOUT)) return false;
  }
  return true;
}

std::string TlsTalker::receive(std::size_t bytes) {
  std::string result(bytes, '\0');
  std::size_t at = 0;
  while (at < bytes) {
    std::size_t got = 0;
    const TlsStream::Io io = tls_->read(result.data() + at, bytes - at, got);
    at += got;
    if (io == TlsStream::Io::kDone) continue;
    if (io != TlsStream::Io::kWantRead || !wait(POLLIN)) break;
  }
  result.resize(at);
  return result;
}

bool TlsTalker::send_raw(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!wait(POLLOUT)) return false;
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string TlsTalker::receive_raw(std::size_t bytes) {
  std::string result(bytes, '\0');
  std::size_t at = 0;
  while (at < bytes && wait(POLLIN)) {
    const ssize_t got = recv(fd_, result.data() + at, bytes - at, 0);
    if (got <= 0) break;
    at += static_cast<std::size_t>(got);
  }
  result.resize(at);
  return result;
}

int TlsTalker::release() {
  tls_.reset();
  return std::exchange(fd_, -1);
}

}  // namespace shoal::net
