// SPDX-License-Identifier: Apache-2.0
#include "net/bridge_connection.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

// Of one connection before others have their turn.
constexpr int kChunksPerTurn = 16;
constexpr std::size_t kRawBytesPerTurn = 8 * kBridgeChunkBytes;
// gRPC ends a connection that breaks its rules as soon as it sees it; else it waits for something.
constexpr auto kCutWithin = milliseconds(500);
// A peer gets so long to take our last words and to close its end; else it might lose them.
constexpr auto kLeaveTimeout = milliseconds(2'000);
constexpr std::size_t kMaxDiscardedBytes = 256 << 10;

// The farewell of RFC 9113, section 6.8: ENHANCE_YOUR_CALM, and why, in words.
std::string goaway(Fault fault) {
  const std::string_view words = words_of(fault);
  const std::size_t length = 8 + words.size();
  std::string frame(kFrameHeaderBytes + 8, '\0');
  frame[1] = static_cast<char>(length >> 8);
  frame[2] = static_cast<char>(length);
  frame[3] = kGoaway;
  frame[kFrameHeaderBytes + 7] = 0x0b;
  return frame.append(words);
}

std::unique_ptr<TlsStream> make_stream(const BridgePlan& plan) {
  return plan.expected ? plan.tls->dial(plan.socket, *plan.expected)
                       : plan.tls->accept(plan.socket, plan.takes_visitors);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

BridgeConnection::BridgeConnection(BridgePlan plan, char* scratch, Time now)
    : socket_(plan.socket),
      scratch_(scratch),
      tls_(make_stream(plan)),
      owner_(std::move(plan.owner)),
      watch_(plan.expected ? Stranger::kServer : Stranger::kClient, now, plan.limits),
      wrapping_({proto::kWrappingBytesBurst, proto::kWrappingBytesPerSecond}, now),
      never_reads_(plan.limits.never_reads),
      deadline_(now + plan.handshake_timeout),
      out_moved_(now),
      in_moved_(now) {
  const int flags = fcntl(socket_, F_GETFL);
  CHECK(flags >= 0 && fcntl(socket_, F_SETFL, flags | O_NONBLOCK) == 0);
  const int one = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

BridgeConnection::~BridgeConnection() {
  if (state_ != State::kOver) over(absl::CancelledError("this process is shutting down"));
}

bool BridgeConnection::turn(Time now) {
  bool more = true;
  tls_->allow_raw_bytes(kRawBytesPerTurn);
  for (int i = 0; i < kChunksPerTurn && more; ++i) {
    switch (state_) {
      case State::kHandshake:
        more = shake_hands(now);
        break;
      case State::kOpen: {
        const bool in = carry_in(now);
        more = (state_ == State::kOpen && carry_out(now)) || in || state_ == State::kLeaving;
        break;
      }
      case State::kLeaving:
        leave_turn(now);
        return false;
      case State::kVisitor:
      case State::kOver:
        return false;
    }
  }
  return more && state_ != State::kOver;
}

bool BridgeConnection::shake_hands(Time now) {
  switch (tls_->handshake()) {
    case TlsStream::Io::kDone:
      secured(now);
      return true;
    case TlsStream::Io::kWantRead:
      // A handshake takes a few kilobytes; what wants more is none.
      if (tls_->out_of_allowance()) over(absl::UnavailableError("the handshake has no end"));
      return false;
    case TlsStream::Io::kWantWrite:
      return false;
    case TlsStream::Io::kClosed:
    case TlsStream::Io::kFailed:
      over(tls_->error());
      return false;
  }
  return false;
}

void BridgeConnection::secured(Time now) {
  if (tls_->protocol() != kHttp2) {
    state_ = State::kVisitor;
    tls_->allow_raw_bytes(SIZE_MAX);
    return;
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    return over(absl::ResourceExhaustedError(std::strerror(errno)));
  }
  state_ = State::kOpen;
  end_.was_secured = true;
  local_ = pair[0];
  out_moved_ = in_moved_ = now;
  if (const Fault fault = owner_->on_secured(tls_->peer(), pair[1]); fault != Fault::kNone) {
    close(pair[1]);
    hang_up(fault, now);
  }
}

void BridgeConnection::hand_over() {
  state_ = State::kOver;
  BridgeOwner& owner = *owner_;
  owner.on_visitor(std::move(owner_), std::exchange(socket_, -1), std::move(tls_));
}

// From the network to gRPC.
bool BridgeConnection::carry_in(Time now) {
  if (!flush_in(now)) return false;
  if (socket_ended_) {
    if (!std::exchange(told_local_, true)) shutdown(local_, SHUT_WR);
    return false;
  }
  const std::uint64_t raw = tls_->raw_bytes_read();
  std::size_t size = 0;
  const TlsStream::Io io = tls_->read(scratch_, kBridgeChunkBytes, size);
  check_wrapping(now, raw, size);
  if (state_ != State::kOpen) return false;
  switch (io) {
    case TlsStream::Io::kDone:
      break;
    case TlsStream::Io::kWantRead:
      return tls_->out_of_allowance();
    case TlsStream::Io::kWantWrite:
      return false;
    case TlsStream::Io::kClosed:
      socket_ended_ = true;
      return true;
    case TlsStream::Io::kFailed:
      over(tls_->error());
      return false;
  }
  in_moved_ = now;
  const std::string_view bytes(scratch_, size);
  if (const Fault fault = watch_.inbound(bytes, now); fault != Fault::kNone) {
    hang_up(fault, now);
    return true;
  }
  account(now);
  if (state_ != State::kOpen) return true;
  if (now < hold_until_) {
    in_rest_.assign(bytes);
    return false;
  }
  const ssize_t sent = send(local_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && !would_block()) return true;  // gRPC has closed: carry_out will see it
  const std::size_t taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  if (taken < bytes.size()) in_rest_.assign(bytes.substr(taken));
  return true;
}

// True when nothing is left.
bool BridgeConnection::flush_in(Time now) {
  if (in_rest_.empty()) return true;
  if (now < hold_until_) return false;
  const ssize_t sent = send(local_, in_rest_.data(), in_rest_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (!would_block()) in_rest_.clear();  // gRPC has closed
    return in_rest_.empty();
  }
  in_rest_.erase(0, static_cast<std::size_t>(sent));
  if (!in_rest_.empty()) return false;
  in_rest_ = std::string();
  return true;
}

void BridgeConnection::check_wrapping(Time now, std::uint64_t raw_before, std::size_t content) {
  const auto raw = static_cast<double>(tls_->raw_bytes_read() - raw_before);
  wrapping_.grant(2.0 * static_cast<double>(content));
  if (raw > 0 && !wrapping_.take(now, raw)) hang_up(Fault::kWrapping, now);
}

// From gRPC to the network.
bool BridgeConnection::carry_out(Time now) {
  if (!flush_out(now)) return false;
  const ssize_t got = recv(local_, scratch_, kBridgeChunkBytes, MSG_DONTWAIT);
  if (got < 0 && would_block()) return false;
  if (got <= 0) {  // gRPC is done with it
    const bool told = watch_.told_to_calm_down();
    end_.was_cut =
        (told || !watch_.said_goodbye()) && !socket_ended_ && now - in_moved_ < kCutWithin;
    end_.may_be_mistake = told || watch_.saw_large_metadata();
    leave(now);
    return true;
  }
  const std::string_view bytes(scratch_, static_cast<std::size_t>(got));
  has_written_ = true;
  const Fault fault = watch_.outbound(bytes, now);
  std::size_t sent = 0;
  if (!send_out(bytes, now, sent)) return false;
  if (sent < bytes.size()) out_rest_.assign(bytes.substr(sent));
  if (fault != Fault::kNone)
    hang_up(fault, now);
  else
    account(now);
  return true;
}

// False when the connection is over. `sent` is what the socket took.
bool BridgeConnection::send_out(std::string_view bytes, Time now, std::size_t& sent) {
  sent = 0;
  while (sent < bytes.size()) {
    std::size_t taken = 0;
    const TlsStream::Io io = tls_->write(bytes.data() + sent, bytes.size() - sent, taken);
    if (io == TlsStream::Io::kWantRead || io == TlsStream::Io::kWantWrite) return true;
    if (io != TlsStream::Io::kDone) {
      over(tls_->error());
      return false;
    }
    sent += taken;
    out_moved_ = now;
  }
  return true;
}

// True when nothing is left.
bool BridgeConnection::flush_out(Time now) {
  if (out_rest_.empty()) {
    out_moved_ = now;
    return true;
  }
  std::size_t sent = 0;
  if (!send_out(out_rest_, now, sent)) return false;
  out_rest_.erase(0, sent);
  if (!out_rest_.empty()) return false;
  out_rest_ = std::string();
  return true;
}

void BridgeConnection::account(Time now) {
  const Traffic& traffic = watch_.traffic();
  if (traffic.opened == counted_.opened && traffic.resets == counted_.resets &&
      traffic.silent == counted_.silent && traffic.half == counted_.half) {
    return;
  }
  const Traffic before = std::exchange(counted_, traffic);
  const Verdict verdict = owner_->on_traffic(before, counted_);
  hold_until_ = std::max(hold_until_, verdict.hold_until);
  if (verdict.fault != Fault::kNone) hang_up(verdict.fault, now);
}

void BridgeConnection::close_local() {
  if (local_ >= 0) close(std::exchange(local_, -1));
}

// What waits is still sent, and no more taken from either side.
void BridgeConnection::leave(Time now) {
  if (state_ == State::kLeaving || state_ == State::kOver) return;
  state_ = State::kLeaving;
  deadline_ = now + kLeaveTimeout;
  close_local();
}

void BridgeConnection::hang_up(Fault fault, Time now) {
  if (state_ == State::kLeaving || state_ == State::kOver) return;
  end_.fault = fault;
  end_.status = absl::UnavailableError(words_of(fault));
  owner_->on_hung_up(fault);
  if (!has_written_) out_rest_.append(kFrameHeaderBytes, '\0')[3] = kSettings;  // must come first
  if (watch_.outbound_at_boundary()) out_rest_.append(goaway(fault));
  leave(now);
}

void BridgeConnection::leave_turn(Time now) {
  if (!flush_out(now)) return;
  if (!std::exchange(told_socket_, true)) {
    tls_->close_notify();
    shutdown(socket_, SHUT_WR);
    const int many = kMaxDiscardedBytes / 2;  // wakes us, or the end does; a drizzle does not
    setsockopt(socket_, SOL_SOCKET, SO_RCVLOWAT, &many, sizeof(many));
  }
  // Closing with bytes unread would reset the connection, and the peer lose our last words.
  while (discarded_ < kMaxDiscardedBytes) {
    const ssize_t got = recv(socket_, scratch_, kBridgeChunkBytes, MSG_DONTWAIT);
    if (got < 0 && would_block() && !is_hurried_) return;
    if (got <= 0) break;
    discarded_ += static_cast<std::size_t>(got);
  }
  over(end_.status);
}

void BridgeConnection::over(const absl::Status& status) {
  if (state_ == State::kOver) return;
  state_ = State::kOver;
  close_local();
  close(std::exchange(socket_, -1));
  const Traffic before = std::exchange(counted_, Traffic{counted_.opened, counted_.resets, 0, 0});
  if (end_.was_secured) owner_->on_traffic(before, counted_);
  end_.spoke = watch_.spoke();
  if (end_.fault == Fault::kNone) end_.status = status;
  owner_->on_ended(end_);
}

void BridgeConnection::tick(Time now) {
  switch (state_) {
    case State::kHandshake:
      if (now >= deadline_) {
        end_.fault = Fault::kSlow;
        over(absl::UnavailableError(
            "it takes the connection but does not answer in time. Check the port, and that the "
            "node is not stuck"));
      }
      return;
    case State::kOpen: {
      Fault fault = watch_.check(now);
      if (fault == Fault::kNone) fault = owner_->on_tick();
      if (fault == Fault::kNone && !out_rest_.empty() && now - out_moved_ > never_reads_) {
        // Whoever still talks is there, and does not want to read.
        fault = now - in_moved_ < never_reads_ / 2 ? Fault::kNeverReads : Fault::kStalled;
      }
      if (fault != Fault::kNone) hang_up(fault, now);
      return;
    }
    case State::kLeaving:
      if (now >= deadline_) over(end_.status);
      return;
    case State::kVisitor:
    case State::kOver:
      return;
  }
}

}  // namespace shoal::net
