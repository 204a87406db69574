// SPDX-License-Identifier: Apache-2.0
#include "tests/net/strange_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "base/check.h"

namespace shoal::net {
namespace {

sockaddr_in loopback_address(const proto::Endpoint& endpoint) {
  CHECK(endpoint.is_v4() && endpoint.is_loopback());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  std::memcpy(&address.sin_addr, endpoint.address.data() + 12, 4);
  return address;
}

}  // namespace

Listener::Listener(int backlog, const proto::Endpoint& at)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_in address = loopback_address(at);
  CHECK(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  CHECK(listen(fd_, backlog) == 0);
}

Listener::~Listener() { close(fd_); }

proto::Endpoint Listener::endpoint() const {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  std::array<std::uint8_t, 4> bytes{};
  std::memcpy(bytes.data(), &address.sin_addr, 4);
  return proto::Endpoint::v4(bytes, ntohs(address.sin_port));
}

int Listener::connect_to() const {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const sockaddr_in address = loopback_address(endpoint());
  [[maybe_unused]] const int in_progress =
      connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return client;
}

StrangeServer::StrangeServer(const identity::Identity& who, std::string greeting, std::string flood,
                             std::size_t most)
    : tls_(identity::make_certificate(who, std::nullopt), std::nullopt),
      greeting_(std::move(greeting)),
      flood_(std::move(flood)),
      most_(most),
      listener_(8),
      thread_([this] { serve(); }) {}

StrangeServer::~StrangeServer() {
  stopping_ = true;
  thread_.join();
}

bool StrangeServer::wait(int fd, short events) const {
  pollfd polled{fd, events, 0};
  while (!stopping_) {
    if (poll(&polled, 1, 20) > 0) return true;
  }
  return false;
}

void StrangeServer::serve() {
  while (wait(listener_.fd(), POLLIN)) {
    const int fd = accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) continue;
    ++accepted_;
    talk(fd);
    close(fd);
  }
}

void StrangeServer::talk(int fd) {
  const auto tls = tls_.accept(fd);
  const auto again = [&](TlsStream::Io io) {
    if (io == TlsStream::Io::kWantRead) return wait(fd, POLLIN);
    return io == TlsStream::Io::kWantWrite && wait(fd, POLLOUT);
  };
  for (;;) {
    const TlsStream::Io io = tls->handshake();
    if (io == TlsStream::Io::kDone) break;
    if (!again(io)) return;
  }
  std::size_t left = most_;
  const auto send = [&](const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      std::size_t taken = 0;
      const TlsStream::Io io = tls->write(bytes.data() + at, bytes.size() - at, taken);
      at += taken;
      sent_ += taken;
      if (io != TlsStream::Io::kDone && !again(io)) return false;
    }
    left -= std::min(left, bytes.size());
    return true;
  };
  if (!send(greeting_)) return;
  while (!flood_.empty() && left > 0 && !stopping_) {
    if (!send(flood_)) return;
  }
  while (wait(fd, POLLIN)) {  // reads on until the other end goes
    char bytes[4096];
    std::size_t got = 0;
    const TlsStream::Io io = tls->read(bytes, sizeof(bytes), got);
    if (io != TlsStream::Io::kDone && io != TlsStream::Io::kWantRead) return;
  }
}

std::string http2_frame(int type, int flags, std::uint32_t stream, const std::string& payload) {
  std::string result;
  for (const int shift : {16, 8, 0}) result += static_cast<char>(payload.size() >> shift);
  result += static_cast<char>(type);
  result += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) result += static_cast<char>(stream >> shift);
  return result + payload;
}

}  // namespace shoal::net
