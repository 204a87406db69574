// SPDX-License-Identifier: Apache-2.0
#include "net/dial_attempt.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "net/socket_address.h"
#include "net/status.h"
#include "proto/limits.h"
#include "proto/tunnel.h"

namespace shoal::net {
namespace {

void set_dial_options(int fd) {
  const auto set = [fd](int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  // Bytes that nobody acknowledges: as for pings that nobody answers.
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(proto::kKeepaliveTimeoutMs));
}

// Hole punching (net/puncher.h) connects from this very port again. Where that cannot be, there is
// none.
void share_port(int fd, bool v4) {
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  const proto::Endpoint any = v4 ? proto::Endpoint::v4({0, 0, 0, 0}, 0) : proto::Endpoint();
  sockaddr_storage storage;
  const socklen_t size = to_system(any, storage);
  [[maybe_unused]] const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&storage), size);
}

}  // namespace

DialAttempt::DialAttempt(boost::asio::io_context& io, const TlsContext& tls,
                         const proto::PeerId& expected, const proto::Address& address)
    : io_(io), tls_(tls), expected_(expected), address_(address) {}

void DialAttempt::start(std::function<void(const absl::Status&)> done) {
  done_ = std::move(done);
  if (const int error = connect(); error != 0) {
    boost::asio::post(io_,
                      [self = shared_from_this(), error] { self->finish(connect_failure(error)); });
  }
}

int DialAttempt::connect() {
  const int fd = socket(address_.endpoint.is_v4() ? AF_INET : AF_INET6,
                        SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  connection_.socket = std::make_unique<Descriptor>(io_, fd);
  set_dial_options(fd);
  if (!address_.is_direct()) share_port(fd, address_.endpoint.is_v4());
  sockaddr_storage storage;
  const socklen_t size = to_system(address_.endpoint, storage);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) != 0 &&
      errno != EINPROGRESS) {
    return errno;
  }
  wait(Descriptor::wait_write, &DialAttempt::connected);
  return 0;
}

void DialAttempt::connected() {
  const int fd = connection_.socket->native_handle();
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return finish(connect_failure(error));
  connection_.tls = address_.is_direct() ? tls_.dial(fd, expected_)
                                         : tls_.dial(fd, *address_.relay, proto::kTunnelProtocol);
  handshake();
}

void DialAttempt::handshake() {
  switch (connection_.tls->handshake()) {
    case TlsStream::Io::kDone:
      return secured();
    case TlsStream::Io::kWantRead:
      return wait(Descriptor::wait_read, &DialAttempt::handshake);
    case TlsStream::Io::kWantWrite:
      return wait(Descriptor::wait_write, &DialAttempt::handshake);
    case TlsStream::Io::kClosed:
    case TlsStream::Io::kFailed:
      break;
  }
  const absl::Status& error = connection_.tls->error();
  if (error.ok()) return finish(connect_failure(ECONNRESET));
  // Who the relay is says nothing of the peer.
  const bool relays = !address_.is_direct() && !is_through_;
  finish(relays ? absl::UnavailableError(absl::StrCat("its relay: ", error.message())) : error);
}

void DialAttempt::secured() {
  if (address_.is_direct() || is_through_) return finish(absl::OkStatus());
  relay_ = std::make_unique<TunnelStream>(*connection_.tls);
  const std::string request = proto::encode_tunnel_request({expected_});
  // A few bytes on a new connection: who does not take them is not there.
  if (relay_->write(request) != TlsStream::Io::kDone) return finish(connect_failure(ECONNRESET));
  hear();
}

void DialAttempt::hear() {
  switch (relay_->read()) {
    case TlsStream::Io::kDone:
      return answered();
    case TlsStream::Io::kWantRead:
      return wait(Descriptor::wait_read, &DialAttempt::hear);
    case TlsStream::Io::kWantWrite:
      return wait(Descriptor::wait_write, &DialAttempt::hear);
    case TlsStream::Io::kClosed:
    case TlsStream::Io::kFailed:
      return finish(absl::UnavailableError("the relay closed the connection"));
  }
}

// From here on every byte is the target's.
void DialAttempt::answered() {
  const auto reply = proto::decode_tunnel_reply(relay_->message());
  if (!reply.ok()) return finish(absl::UnavailableError(reply.status().message()));
  if (reply->kind == proto::TunnelReply::Kind::kRefused) {
    return finish(absl::UnavailableError(
        absl::StrCat("the relay does not connect us: ", proto::words_of(reply->refusal))));
  }
  if (reply->kind != proto::TunnelReply::Kind::kOpen) {
    return finish(absl::UnavailableError("the relay answers what nobody asked"));
  }
  relay_.reset();
  connection_.tls.reset();
  is_through_ = true;
  connection_.seen = reply->endpoint;
  connection_.tls = tls_.dial(connection_.socket->native_handle(), expected_);
  handshake();
}

void DialAttempt::wait(Descriptor::wait_type what, void (DialAttempt::*then)()) {
  connection_.socket->async_wait(
      what, [self = shared_from_this(), then](const boost::system::error_code& error) {
        if (self->done_ && !error) ((*self).*then)();
      });
}

void DialAttempt::finish(const absl::Status& outcome) {
  if (!done_) return;
  const auto done = std::move(done_);
  done_ = nullptr;
  relay_.reset();
  if (!outcome.ok()) drop();
  done(outcome);
}

void DialAttempt::cancel() {
  done_ = nullptr;
  relay_.reset();
  drop();
}

void DialAttempt::drop() {
  connection_.tls.reset();
  connection_.socket.reset();
}

absl::Status DialAttempt::silence() const {
  if (connection_.tls == nullptr) return connect_failure(ETIMEDOUT);
  if (relay_ == nullptr) return mute_failure();
  return absl::UnavailableError("the relay does not answer in time, or waits for the node");
}

}  // namespace shoal::net
