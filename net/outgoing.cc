// SPDX-License-Identifier: Apache-2.0
#include "net/outgoing.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "net/socket_address.h"
#include "net/status.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

// One direction's buffer: two TLS records, or a decode step of any model at once.
constexpr std::size_t kPipeBytes = 32u << 10;
// Turns of the pump before other connections have theirs.
constexpr int kTurns = 16;
// gRPC sends no more before the first answer than its windows let it (64 KiB), and the heads of the
// calls.
constexpr std::size_t kMaxUnanswered = 256u << 10;
// A peer whose connection came up late in the race has at least so long for its first byte.
constexpr std::chrono::seconds kLeastTimeToAnswer{2};
constexpr std::chrono::milliseconds kCheckEvery{500};
// A timer that is so late tells that the process, or the machine, stood still.
constexpr std::chrono::milliseconds kStandstill{250};

}  // namespace

Outgoing::Outgoing(boost::asio::io_context& io, const TlsContext& tls, const proto::PeerId& peer,
                   int local)
    : io_(io),
      tls_context_(tls),
      peer_(peer),
      timer_(io),
      local_(std::make_unique<Descriptor>(io, local)) {
  state_.last_moved = Clock::now();
}

void Outgoing::dial(const std::vector<proto::Address>& addresses,
                    const std::optional<proto::Address>& worked_last,
                    std::function<void()> on_closed) {
  on_closed_ = std::move(on_closed);
  race_.emplace(addresses, worked_last, Clock::now());
  race();
}

void Outgoing::refuse(const absl::Status& why, std::function<void()> on_closed) {
  on_closed_ = std::move(on_closed);
  fail(why);
}

void Outgoing::add(const std::vector<proto::Address>& addresses) {
  if (!race_) return;
  race_->add(addresses);
  race();
}

Outgoing::State Outgoing::state() const {
  const base::MutexLock lock(mutex_);
  return state_;
}

void Outgoing::race() {
  const auto now = Clock::now();
  for (const proto::Address& address : race_->due(now)) {
    auto attempt = std::make_shared<DialAttempt>(io_, tls_context_, peer_, address);
    attempts_.push_back(attempt);
    attempt->start([this, self = shared_from_this(), attempt](const absl::Status& outcome) {
      attempted(attempt, outcome);
    });
  }
  if (race_->lost(now)) {
    for (const auto& attempt : attempts_) {
      race_->failed(attempt->address(), attempt->silence());
      attempt->cancel();
    }
    attempts_.clear();
    const absl::Status verdict = race_->verdict();
    race_.reset();
    return fail(verdict);
  }
  set_timer(race_->next(), &Outgoing::race);
}

void Outgoing::attempted(const std::shared_ptr<DialAttempt>& attempt, const absl::Status& outcome) {
  if (!race_) return;
  if (outcome.ok()) return won(*attempt);
  std::erase(attempts_, attempt);
  race_->failed(attempt->address(), outcome);
  race();
}

void Outgoing::won(DialAttempt& winner) {
  remote_ = winner.take();
  std::optional<Relayed> relayed;
  if (remote_.seen) {
    sockaddr_storage local{};
    socklen_t size = sizeof(local);
    getsockname(remote_.socket->native_handle(), reinterpret_cast<sockaddr*>(&local), &size);
    relayed = {endpoint_of(local).port, *remote_.seen};
  }
  {
    const base::MutexLock lock(mutex_);
    state_.address = winner.address();
    state_.relayed = relayed;
  }
  for (const auto& attempt : attempts_) attempt->cancel();
  attempts_.clear();
  const auto deadline = race_->deadline();
  race_.reset();
  begin(deadline);
}

void Outgoing::adopt(DialAttempt::Connection connection, const proto::Address& address,
                     std::function<void()> on_closed) {
  on_closed_ = std::move(on_closed);
  remote_ = std::move(connection);
  {
    const base::MutexLock lock(mutex_);
    state_.address = address;
  }
  begin({});
}

void Outgoing::begin(Clock::time_point answer_due) {
  const auto now = Clock::now();
  answer_due_ = std::max(answer_due, now + kLeastTimeToAnswer);
  watch_.emplace(Stranger::kServer, now);
  wrapping_.emplace(Rate{proto::kWrappingBytesBurst, proto::kWrappingBytesPerSecond}, now);
  set_timer(now + kCheckEvery, &Outgoing::tick);
  pump();
}

void Outgoing::tick() {
  const auto now = Clock::now();
  if (!came_up_ && now >= answer_due_) return peer_ended(mute_failure());
  if (const Fault fault = watch_->check(now); came_up_ && fault != Fault::kNone) return cut(fault);
  set_timer(now + kCheckEvery, &Outgoing::tick);
}

// It asks for more than honest peers do: nothing more of it reaches gRPC.
void Outgoing::cut(Fault fault) {
  spdlog::warn("hung up on {} at {}: {}", proto::short_name(peer_),
               proto::to_string(state().address.value_or(proto::Address())), words_of(fault));
  {
    const base::MutexLock lock(mutex_);
    state_.fault = fault;
  }
  if (came_up_) return close();
  peer_ended(absl::UnavailableError(absl::StrCat("we hung up on it: ", words_of(fault))));
}

void Outgoing::set_timer(Clock::time_point when, void (Outgoing::*then)()) {
  timer_.expires_at(when);
  timer_.async_wait([self = shared_from_this(), then](const boost::system::error_code& error) {
    if (error || self->local_ == nullptr || (!self->race_ && !self->remote_.socket)) return;
    const auto late = Clock::now() - self->timer_.expiry();
    if (late > kStandstill) self->slept(late);
    ((*self).*then)();
  });
}

// What happened meanwhile is seen only after this: no time limit may be over before.
void Outgoing::slept(Clock::duration time) {
  if (race_) race_->slept(time);
  answer_due_ += time;
}

// From here on every call hears `why`, until gRPC lets go.
void Outgoing::fail(const absl::Status& why) {
  {
    const base::MutexLock lock(mutex_);
    state_.phase = Phase::kEnded;
    state_.address.reset();
    state_.ended_at = Clock::now();
  }
  timer_.cancel();
  dead_end_.emplace(why);
  dead_end_says_ = dead_end_->consume(unanswered_);
  unanswered_ = {};
  up_ = {};
  pump();
}

void Outgoing::close() {
  if (local_ == nullptr) return;
  {
    const base::MutexLock lock(mutex_);
    if (state_.phase != Phase::kEnded) state_.ended_at = Clock::now();
    state_.phase = Phase::kEnded;
  }
  timer_.cancel();
  race_.reset();
  for (const auto& attempt : attempts_) attempt->cancel();
  attempts_.clear();
  remote_.tls.reset();
  remote_.socket.reset();
  local_.reset();
  if (const auto on_closed = std::move(on_closed_)) on_closed();
}

// No more will come from the peer.
void Outgoing::peer_ended(const absl::Status& why) {
  peer_ended_ = true;
  if (came_up_) return;  // what it sent goes to gRPC, then its end does
  remote_.tls.reset();
  remote_.socket.reset();
  if (too_much_unanswered_) return close();
  fail(why.ok() ? connect_failure(ECONNRESET) : why);
}

void Outgoing::note_moved() {
  const base::MutexLock lock(mutex_);
  state_.last_moved = Clock::now();
  if (!came_up_) return;
  state_.came_up = true;
  state_.phase = Phase::kUp;
}

void Outgoing::pump() {
  for (int turn = 0; turn < kTurns; ++turn) {
    if (local_ == nullptr) return;
    if (dead_end_) {
      answer_dead_end();
      break;
    }
    if (!remote_.socket) break;  // not there yet: what gRPC sends waits in the socket pair
    for (Readiness* r :
         {&remote_readable_, &remote_writable_, &local_readable_, &local_writable_}) {
      r->wanted = false;
    }
    const bool down = move_down();
    const bool up = local_ != nullptr && remote_.socket && move_up();
    if (!down && !up && !dead_end_) break;
    if (turn + 1 == kTurns) {
      boost::asio::post(io_, [self = shared_from_this()] { self->pump(); });
      return;
    }
  }
  wait_for_all();
}

// At what came just now.
Fault Outgoing::look(std::uint64_t raw_before) {
  const auto now = Clock::now();
  const auto raw = static_cast<double>(remote_.tls->raw_bytes_read() - raw_before);
  const std::string_view bytes(down_.bytes.data(), down_.end);
  wrapping_->grant(2.0 * static_cast<double>(bytes.size()));
  if (raw > 0 && !wrapping_->take(now, raw)) return Fault::kWrapping;
  return bytes.empty() ? Fault::kNone : watch_->inbound(bytes, now);
}

bool Outgoing::move_down() {
  bool moved = false;
  if (down_.empty() && !peer_ended_) {
    std::optional<absl::Status> ended;
    down_.bytes.resize(kPipeBytes);
    down_.begin = down_.end = 0;
    remote_.tls->allow_raw_bytes(2 * kPipeBytes);
    // Whole buffers wake gRPC less often than single records.
    const std::uint64_t raw = remote_.tls->raw_bytes_read();
    while (down_.end < down_.bytes.size()) {
      std::size_t got = 0;
      const auto outcome =
          remote_.tls->read(down_.bytes.data() + down_.end, down_.bytes.size() - down_.end, got);
      down_.end += got;
      if (outcome == TlsStream::Io::kDone) continue;
      if (outcome == TlsStream::Io::kWantRead) {
        remote_readable_.wanted = true;
        // More is there, but the others have their turn first.
        if (remote_.tls->out_of_allowance()) moved = true;
      } else if (outcome == TlsStream::Io::kWantWrite) {
        remote_writable_.wanted = true;
      } else {
        ended = remote_.tls->error();
      }
      break;
    }
    if (const Fault fault = look(raw); fault != Fault::kNone) {
      cut(fault);
      return false;
    }
    if (!down_.empty()) {
      came_up_ = moved = true;
      unanswered_ = {};
      note_moved();
    }
    if (ended) peer_ended(*ended);
    if (remote_.tls == nullptr) return false;
  }
  while (!down_.empty()) {
    const ssize_t sent = send(local_->native_handle(), down_.bytes.data() + down_.begin,
                              down_.end - down_.begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        local_writable_.wanted = true;
      } else {
        close();
      }
      return moved;
    }
    down_.begin += static_cast<std::size_t>(sent);
    moved = true;
  }
  if (peer_ended_) close();
  return moved;
}

bool Outgoing::move_up() {
  bool moved = false;
  if (up_.empty()) {
    up_.bytes.resize(kPipeBytes);
    up_.begin = up_.end = 0;
    const ssize_t got =
        recv(local_->native_handle(), up_.bytes.data(), up_.bytes.size(), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
      remote_.tls->close_notify();
      close();
      return false;
    }
    if (got < 0) {
      local_readable_.wanted = true;
      return false;
    }
    up_.end = static_cast<std::size_t>(got);
    moved = true;
    note_moved();
    const Fault fault = watch_->outbound({up_.bytes.data(), up_.end}, Clock::now());
    if (fault != Fault::kNone) {
      cut(fault);
      return false;
    }
    if (!came_up_) {
      too_much_unanswered_ = too_much_unanswered_ || unanswered_.size() + up_.end > kMaxUnanswered;
      if (!too_much_unanswered_) unanswered_.append(up_.bytes.data(), up_.end);
    }
  }
  while (!up_.empty()) {
    std::size_t taken = 0;
    const auto outcome =
        remote_.tls->write(up_.bytes.data() + up_.begin, up_.end - up_.begin, taken);
    up_.begin += taken;
    if (outcome == TlsStream::Io::kDone) {
      moved = true;
      continue;
    }
    if (outcome == TlsStream::Io::kWantWrite) {
      remote_writable_.wanted = true;
    } else if (outcome == TlsStream::Io::kWantRead) {
      remote_readable_.wanted = true;
    } else {
      up_.begin = up_.end;  // what the peer sent before it went is still read
      moved = false;
    }
    break;
  }
  return moved;
}

void Outgoing::answer_dead_end() {
  local_readable_.wanted = local_writable_.wanted = false;
  for (;;) {
    while (!dead_end_says_.empty()) {
      const ssize_t sent = send(local_->native_handle(), dead_end_says_.data(),
                                dead_end_says_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        local_writable_.wanted = true;
        return;
      }
      if (sent < 0) return close();
      dead_end_says_.erase(0, static_cast<std::size_t>(sent));
    }
    char bytes[4096];
    const ssize_t got = recv(local_->native_handle(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      local_readable_.wanted = true;
      return;
    }
    if (got <= 0) return close();
    dead_end_says_ += dead_end_->consume({bytes, static_cast<std::size_t>(got)});
  }
}

void Outgoing::wait_for_all() {
  if (local_ == nullptr) return;
  wait_for(*local_, Descriptor::wait_read, local_readable_);
  wait_for(*local_, Descriptor::wait_write, local_writable_);
  if (!remote_.socket) return;
  wait_for(*remote_.socket, Descriptor::wait_read, remote_readable_);
  wait_for(*remote_.socket, Descriptor::wait_write, remote_writable_);
}

void Outgoing::wait_for(Descriptor& descriptor, Descriptor::wait_type what, Readiness& readiness) {
  if (!readiness.wanted || readiness.awaited) return;
  readiness.awaited = true;
  descriptor.async_wait(
      what, [self = shared_from_this(), &readiness](const boost::system::error_code& error) {
        readiness.awaited = false;
        if (!error) self->pump();
      });
}

}  // namespace shoal::net
