// SPDX-License-Identifier: Apache-2.0
#include "node/member/parked_line.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "net/socket_address.h"
#include "net/status.h"
#include "proto/limits.h"
#include "proto/tunnel.h"

namespace shoal::node {
namespace {

using Io = net::TlsStream::Io;
using std::chrono::milliseconds;

// As the relay watches us: 35 s at most, and its router's mapping is kept.
constexpr int kLineAliveAfterS = 20, kLineAliveEveryS = 5, kLineAliveTries = 3;

void keep_alive(int fd) {
  const auto set = [fd](int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kLineAliveAfterS);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kLineAliveEveryS);
  set(IPPROTO_TCP, TCP_KEEPCNT, kLineAliveTries);
}

// Whether it worked: it does not while an older connection of the kind is being forgotten.
bool leave_from(int fd, bool v4, std::uint16_t port) {
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  sockaddr_storage address{};
  socklen_t size = sizeof(sockaddr_in);
  if (v4) {
    auto& in = reinterpret_cast<sockaddr_in&>(address);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(address);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    size = sizeof(sockaddr_in6);
  }
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
}

}  // namespace

ParkedLine::ParkedLine(boost::asio::io_context& io, const net::TlsContext& tls,
                       const RelayCandidate& relay, std::optional<std::uint16_t> port, Hooks hooks)
    : io_(io), tls_(tls), relay_(relay), port_(port), hooks_(std::move(hooks)), timer_(io) {}

ParkedLine::~ParkedLine() { drop(); }

void ParkedLine::start() {
  timer_.expires_after(milliseconds(proto::kConnectTimeoutMs));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->is_parked_) self->end(net::connect_failure(ETIMEDOUT));
  });
  if (const int error = connect(); error != 0) {
    boost::asio::post(
        io_, [self = shared_from_this(), error] { self->end(net::connect_failure(error)); });
  }
}

int ParkedLine::connect() {
  sockaddr_storage storage;
  const socklen_t size = net::to_system(relay_.at, storage);
  // A port that is taken towards this relay shows only when connecting.
  for (const bool anchored : {true, false}) {
    if (anchored && !port_) continue;
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    socket_ = std::make_unique<Descriptor>(io_, fd);
    keep_alive(fd);
    if (anchored && !leave_from(fd, relay_.at.is_v4(), *port_)) continue;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0 ||
        errno == EINPROGRESS) {
      is_anchored_ = anchored;
      wait(Descriptor::wait_write, &ParkedLine::connected);
      return 0;
    }
    if (!anchored) return errno;
  }
  return ECONNREFUSED;
}

void ParkedLine::connected() {
  const int fd = socket_->native_handle();
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return end(net::connect_failure(error));
  stream_ = tls_.dial(fd, relay_.peer, proto::kTunnelProtocol);
  handshake();
}

void ParkedLine::handshake() {
  switch (stream_->handshake()) {
    case Io::kDone:
      break;
    case Io::kWantRead:
      return wait(Descriptor::wait_read, &ParkedLine::handshake);
    case Io::kWantWrite:
      return wait(Descriptor::wait_write, &ParkedLine::handshake);
    case Io::kClosed:
    case Io::kFailed:
      return end(stream_->error().ok() ? net::connect_failure(ECONNRESET) : stream_->error());
  }
  words_ = std::make_unique<net::TunnelStream>(*stream_);
  if (words_->write(proto::encode_tunnel_request({.last = is_anchored_})) != Io::kDone) {
    return end(net::connect_failure(ECONNRESET));
  }
  hear();
}

void ParkedLine::hear() {
  switch (words_->read()) {
    case Io::kDone:
      return answered();
    case Io::kWantRead:
      return wait(Descriptor::wait_read, &ParkedLine::hear);
    case Io::kWantWrite:
      return wait(Descriptor::wait_write, &ParkedLine::hear);
    case Io::kClosed:
    case Io::kFailed:
      return end(absl::UnavailableError("the relay closed the connection"));
  }
}

void ParkedLine::answered() {
  const auto reply = proto::decode_tunnel_reply(words_->message());
  if (!reply.ok()) return end(reply.status());
  words_->next();
  switch (reply->kind) {
    case proto::TunnelReply::Kind::kParked: {
      if (is_parked_) break;
      is_parked_ = true;
      timer_.cancel();
      const auto self = shared_from_this();
      const proto::PeerId relay = stream_->peer();
      hooks_.parked(relay, reply->endpoint, is_anchored_);
      if (is_alive_) hear();
      return;
    }
    case proto::TunnelReply::Kind::kStart: {
      if (!is_parked_) break;
      // From here on every byte is the caller's.
      words_.reset();
      stream_.reset();
      is_parked_ = false;
      is_alive_ = false;
      const int socket = socket_->release();
      const Hooks hooks = std::exchange(hooks_, {});
      return hooks.called(socket, reply->endpoint);
    }
    case proto::TunnelReply::Kind::kRefused:
      return end(absl::UnavailableError(
                     absl::StrCat("it does not take us: ", proto::words_of(reply->refusal))),
                 milliseconds(reply->retry_ms));
    case proto::TunnelReply::Kind::kOpen:
      break;
  }
  end(absl::InvalidArgumentError("the relay says what does not belong there"));
}

void ParkedLine::wait(Descriptor::wait_type what, void (ParkedLine::*then)()) {
  socket_->async_wait(what,
                      [self = shared_from_this(), then](const boost::system::error_code& error) {
                        if (self->is_alive_ && !error) ((*self).*then)();
                      });
}

void ParkedLine::end(const absl::Status& why, milliseconds retry) {
  if (!is_alive_) return;
  cancel();
  const Hooks hooks = std::exchange(hooks_, {});
  hooks.ended(why, retry);
}

void ParkedLine::cancel() {
  is_alive_ = false;
  is_parked_ = false;
  timer_.cancel();
  drop();
}

void ParkedLine::drop() {
  words_.reset();
  stream_.reset();
  socket_.reset();
}

}  // namespace shoal::node
