// SPDX-License-Identifier: Apache-2.0
#include "net/directory_tunnel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "net/socket_address.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

// Reads before others on the thread have their turn.
constexpr int kReadsPerTurn = 16;
constexpr std::size_t kReadBytes = 4 << 10;
// And so many raw bytes, whatever is in them.
constexpr std::size_t kRawPerTurn = 64 << 10;

int open_tunnel_socket(const proto::Endpoint& address) {
  return socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                0);
}

// Datagrams are small and awaited; a peer that is gone without a word is noticed.
void set_tunnel_options(int fd) {
  const auto set = [fd](int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(proto::kKeepaliveTimeoutMs));
}

}  // namespace

DirectoryTunnel::DirectoryTunnel(boost::asio::io_context& io, const proto::Endpoint& contact)
    : io_(io),
      contact_(contact),
      begun_(Clock::now()),
      used_(begun_),
      pause_(io),
      datagrams_({proto::kTunnelledDatagramsBurst, proto::kTunnelledDatagramsPerSecond}, begun_),
      wrapping_({proto::kWrappingBytesBurst, proto::kWrappingBytesPerSecond}, begun_) {}

void DirectoryTunnel::dial(const TlsContext& tls, Receive receive) {
  receive_ = std::move(receive);
  if (connect(contact_) != 0) return close();
  socket_->async_wait(Descriptor::wait_write,
                      [self = shared_from_this(), &tls](const boost::system::error_code& error) {
                        if (self->phase_ == Phase::kConnecting && !error) self->connected(tls);
                      });
}

int DirectoryTunnel::connect(const proto::Endpoint& address) {
  const int fd = open_tunnel_socket(address);
  if (fd < 0) return errno;
  socket_ = std::make_unique<Descriptor>(io_, fd);
  set_tunnel_options(fd);
  sockaddr_storage storage;
  const socklen_t size = to_system(address, storage);
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&storage), size);
  return result == 0 || errno == EINPROGRESS ? 0 : errno;
}

void DirectoryTunnel::connected(const TlsContext& tls) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(socket_->native_handle(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
    return close();
  tls_ = tls.dial(socket_->native_handle(), std::nullopt, kDirectoryProtocol);
  phase_ = Phase::kHandshake;
  handshake();
}

void DirectoryTunnel::handshake() {
  switch (tls_->handshake()) {
    case TlsStream::Io::kDone:
      return up();
    case TlsStream::Io::kWantRead:
      return wait(Descriptor::wait_read, &DirectoryTunnel::handshake);
    case TlsStream::Io::kWantWrite:
      return wait(Descriptor::wait_write, &DirectoryTunnel::handshake);
    case TlsStream::Io::kClosed:
    case TlsStream::Io::kFailed:
      return close();
  }
}

void DirectoryTunnel::receive_visitor(Visitor visitor, Receive receive) {
  receive_ = std::move(receive);
  socket_ = std::make_unique<Descriptor>(io_, visitor.socket);
  tls_ = std::move(visitor.tls);
  admission_ = std::move(visitor.admission);
  set_tunnel_options(socket_->native_handle());
  up();
}

void DirectoryTunnel::up() {
  phase_ = Phase::kUp;
  came_up_ = true;
  peer_ = tls_->peer();
  flush();
  // A visitor may have spoken already, to the bridge: OpenSSL has it.
  if (phase_ == Phase::kUp) read_some();
}

void DirectoryTunnel::read_some() {
  const auto self = shared_from_this();  // receivers may let go of us
  if (!rest_.empty()) {
    const std::string rest = std::exchange(rest_, {});
    if (!take(rest)) return;
  }
  tls_->allow_raw_bytes(kRawPerTurn);
  std::array<char, kReadBytes> buffer;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const std::uint64_t raw = tls_->raw_bytes_read();
    std::size_t size = 0;
    const TlsStream::Io io = tls_->read(buffer.data(), buffer.size(), size);
    const auto taken = static_cast<double>(tls_->raw_bytes_read() - raw);
    wrapping_.grant(2.0 * static_cast<double>(size));
    if (taken > 0 && !wrapping_.take(Clock::now(), taken))
      return breaks_rules("it sends TLS records with nothing in them");
    switch (io) {
      case TlsStream::Io::kDone:
        if (!take({buffer.data(), size})) return;
        continue;
      case TlsStream::Io::kWantRead:
        if (!tls_->out_of_allowance()) return wait_for_reading();
        break;
      case TlsStream::Io::kWantWrite:
        return wait(Descriptor::wait_write, &DirectoryTunnel::read_some);
      case TlsStream::Io::kClosed:
      case TlsStream::Io::kFailed:
        return close();
    }
    break;
  }
  boost::asio::post(io_, [self] {
    if (self->phase_ == Phase::kUp) self->read_some();
  });
}

bool DirectoryTunnel::take(std::string_view bytes) {
  while (const auto datagram = reader_.next(bytes)) {
    const auto now = Clock::now();
    used_ = now;
    const auto paid = datagrams_.charge(now, 1);
    receive_(*datagram, contact_);
    if (phase_ != Phase::kUp) return false;
    if (paid <= now) continue;
    rest_ = bytes;
    pause_.expires_at(paid);
    pause_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->phase_ == Phase::kUp) self->read_some();
    });
    return false;
  }
  if (!reader_.is_broken()) return true;
  breaks_rules("what it sends are no datagrams");
  return false;
}

void DirectoryTunnel::send(std::string_view datagram) {
  if (phase_ == Phase::kClosed) return;
  if (out_.size() - sent_ + datagram.size() > proto::kMaxTunnelQueueBytes) return;
  used_ = Clock::now();
  dht::append_frame(out_, datagram);
  if (phase_ == Phase::kUp && !flush_waits_) flush();
}

void DirectoryTunnel::flush() {
  flush_waits_ = false;
  while (sent_ < out_.size()) {
    std::size_t size = 0;
    switch (tls_->write(out_.data() + sent_, out_.size() - sent_, size)) {
      case TlsStream::Io::kDone:
        sent_ += size;
        break;
      case TlsStream::Io::kWantRead:
      case TlsStream::Io::kWantWrite:
        flush_waits_ = true;
        return wait(Descriptor::wait_write, &DirectoryTunnel::flush);
      case TlsStream::Io::kClosed:
      case TlsStream::Io::kFailed:
        return close();
    }
  }
  out_.clear();
  sent_ = 0;
}

void DirectoryTunnel::wait_for_reading() {
  wait(Descriptor::wait_read, &DirectoryTunnel::read_some);
}

void DirectoryTunnel::wait(Descriptor::wait_type what, void (DirectoryTunnel::*then)()) {
  socket_->async_wait(what,
                      [self = shared_from_this(), then](const boost::system::error_code& error) {
                        if (!error && self->phase_ != Phase::kClosed) ((*self).*then)();
                      });
}

void DirectoryTunnel::breaks_rules(const char* why) {
  if (admission_ != nullptr) admission_->accuse(why);
  close();
}

void DirectoryTunnel::close() {
  if (phase_ == Phase::kUp) tls_->close_notify();
  phase_ = Phase::kClosed;
  pause_.cancel();
  tls_.reset();
  socket_.reset();
  admission_.reset();
}

}  // namespace shoal::net
