// SPDX-License-Identifier: Apache-2.0
#include "net/relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "net/relay_tunnel.h"
#include "net/tunnel_stream.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;
using Io = TlsStream::Io;
using proto::TunnelReply;
using std::chrono::milliseconds;

constexpr auto kRelayTick = milliseconds(500);
// A parked peer that is gone without a word is noticed within 35 s; one that takes nothing of what
// a tunnel has for it, within 15 s.
constexpr int kAliveAfterS = 20, kAliveEveryS = 5, kAliveTries = 3;
constexpr int kUnackedMs = 15'000;

void keep_watched(int fd) {
  const auto set = [fd](int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof(value));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kAliveAfterS);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kAliveEveryS);
  set(IPPROTO_TCP, TCP_KEEPCNT, kAliveTries);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, kUnackedMs);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

}  // namespace

class Relay::Impl {
 public:
  explicit Impl(const RelayOptions& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        book_(options.limits),
        rates_(options.bytes_per_second, options.bytes_of_peer) {
    CHECK(epoll_ >= 0 && wake_ >= 0);
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = 0;
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
    thread_ = std::thread([this] { run(); });
  }

  ~Impl() {
    stopping_ = true;
    wake();
    thread_.join();
    for (Visitor& visitor : arrived_) {
      visitor.tls.reset();
      close(visitor.socket);
    }
    close(wake_);
    close(epoll_);
  }

  void arrive(Visitor visitor) {
    {
      const base::MutexLock lock(mutex_);
      arrived_.push_back(std::move(visitor));
    }
    wake();
  }

  void let_go() {
    letting_go_ = true;
    wake();
  }

  RelayStats stats() const {
    const base::MutexLock lock(mutex_);
    return stats_;
  }

 private:
  using Id = RelayBook::Id;

  // A connection that is still inside TLS.
  struct Guest {
    explicit Guest(Visitor from) : visitor(std::move(from)), stream(*visitor.tls) {}
    ~Guest() {
      visitor.tls.reset();
      if (visitor.socket >= 0) close(visitor.socket);
    }
    Visitor visitor;
    TunnelStream stream;
    bool asked = false;  // then it parks or waits
    Clock::time_point deadline;
  };
  struct Carried {
    std::unique_ptr<RelayTunnel> tunnel;
    Id caller = 0, parked = 0;
    std::uint64_t counted = 0;
  };

  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_, &one, sizeof(one));
  }

  void take_arrived(Clock::time_point now) {
    std::deque<Visitor> arrived;
    {
      const base::MutexLock lock(mutex_);
      arrived.swap(arrived_);
    }
    for (Visitor& visitor : arrived) {
      const Id id = ++last_id_;
      keep_watched(visitor.socket);
      auto guest = std::make_unique<Guest>(std::move(visitor));
      guest->deadline = now + milliseconds(proto::kTunnelMessageTimeoutMs);
      epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {}};
      event.data.u64 = id;
      CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, guest->visitor.socket, &event) == 0);
      guests_.emplace(id, std::move(guest));
      ready_.insert(id);
    }
  }

  void turn(Id id, Clock::time_point now) {
    if (guests_.contains(id)) return listen(id, now);
    const auto leg = legs_.find(id);
    if (leg == legs_.end()) return;
    Carried& carried = tunnels_.at(leg->second);
    const bool more = carried.tunnel->turn(now);
    count(carried);
    held_.erase(leg->second);
    if (carried.tunnel->is_over()) {
      end(leg->second, now);
    } else if (more) {
      ready_.insert(id);
    } else if (carried.tunnel->held_until() > now) {
      held_.insert(leg->second);
    }
  }

  void count(Carried& carried) {
    bytes_ += carried.tunnel->bytes() - carried.counted;
    carried.counted = carried.tunnel->bytes();
  }

  // Whatever comes before the request is whole, or after it, is the guest's end.
  void listen(Id id, Clock::time_point now) {
    Guest& guest = *guests_.at(id);
    if (guest.asked) return look_whether_there(id, now);
    switch (guest.stream.read()) {
      case Io::kDone:
        break;
      case Io::kWantRead:
      case Io::kWantWrite:
        return;
      case Io::kClosed:
        return leave(id, now);
      case Io::kFailed:
        return break_off(id, "what it says to the relay is longer than any message", now);
    }
    const auto request = proto::decode_tunnel_request(guest.stream.message());
    if (!request.ok()) return break_off(id, "what it says to the relay is no message", now);
    guest.asked = true;
    // From here on the book counts it.
    guest.visitor.admission.reset();
    const proto::PeerId peer = guest.visitor.peer;
    const Network from = Network::of(guest.visitor.from);
    if (request->target) return answer(id, book_.call(peer, *request->target, id, now, from), now);
    const RelayBook::Answer parked = book_.park(peer, id, now, from, request->last);
    if (!parked.ok()) return refuse(id, parked.refusal, now);
    if (!say(id, {TunnelReply::Kind::kParked, guest.visitor.from, {}, 0})) return leave(id, now);
    if (parked.tunnel) answer(parked.tunnel->caller, parked, now);
  }

  // Nothing may come from whoever parks or waits: what comes is its end.
  void look_whether_there(Id id, Clock::time_point now) {
    char byte = 0;
    const ssize_t got = recv(guests_.at(id)->visitor.socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    leave(id, now);
  }

  // Of a caller.
  void answer(Id caller, RelayBook::Answer answer, Clock::time_point now) {
    while (answer.ok() && answer.tunnel) {
      const RelayBook::Tunnel tunnel = *answer.tunnel;
      const proto::Endpoint from = guests_.at(caller)->visitor.from;
      if (say(tunnel.parked, {TunnelReply::Kind::kStart, from, {}, 0})) return open(tunnel, now);
      guests_.erase(tunnel.parked);
      answer = book_.call_again(tunnel, now);
    }
    if (!answer.ok()) refuse(caller, answer.refusal, now);
  }

  void open(const RelayBook::Tunnel& tunnel, Clock::time_point now) {
    const Guest& caller = *guests_.at(tunnel.caller);
    if (!say(tunnel.caller, {TunnelReply::Kind::kOpen, caller.visitor.from, {}, 0})) {
      book_.gone(tunnel.caller, now);
      guests_.erase(tunnel.caller);
      guests_.erase(tunnel.parked);
      return;
    }
    Carried carried;
    carried.caller = tunnel.caller;
    carried.parked = tunnel.parked;
    carried.tunnel = std::make_unique<RelayTunnel>(
        leave_tls(tunnel.caller), leave_tls(tunnel.parked), scratch_.data(), rates_, now);
    legs_[tunnel.caller] = legs_[tunnel.parked] = tunnel.caller;
    tunnels_.emplace(tunnel.caller, std::move(carried));
    ready_.insert(tunnel.caller);
    ++opened_;
  }

  RelayTunnel::End leave_tls(Id id) {
    const auto found = guests_.find(id);
    Visitor& visitor = found->second->visitor;
    const RelayTunnel::End end{std::exchange(visitor.socket, -1), visitor.peer};
    guests_.erase(found);
    return end;
  }

  // A few bytes on a connection that carried next to nothing so far: who does not take them at once
  // is not there.
  bool say(Id id, const TunnelReply& reply) {
    return guests_.at(id)->stream.write(proto::encode_tunnel_reply(reply)) == Io::kDone;
  }

  void refuse(Id id, const RelayBook::Refusal& refusal, Clock::time_point now) {
    ++refused_[static_cast<std::size_t>(refusal.why)];
    say(id, {TunnelReply::Kind::kRefused, {}, refusal.why, refusal.retry_ms});
    guests_.at(id)->visitor.tls->close_notify();
    leave(id, now);
  }

  void break_off(Id id, const char* why, Clock::time_point now) {
    ++broken_;
    guests_.at(id)->visitor.admission->accuse(why);
    leave(id, now);
  }

  void leave(Id id, Clock::time_point now) {
    book_.gone(id, now);
    guests_.erase(id);
  }

  void end(Id tunnel, Clock::time_point now) {
    const auto found = tunnels_.find(tunnel);
    count(found->second);
    book_.gone(tunnel, now);
    legs_.erase(found->second.caller);
    legs_.erase(found->second.parked);
    held_.erase(tunnel);
    tunnels_.erase(found);
  }

  void tick(Clock::time_point now) {
    std::vector<Id> late, idle;
    for (const auto& [id, guest] : guests_) {
      if (!guest->asked && (now >= guest->deadline || guest->visitor.admission->is_banned())) {
        late.push_back(id);
      }
    }
    for (const Id id : late) leave(id, now);
    for (const auto& [id, carried] : tunnels_) {
      if (now - carried.tunnel->last_moved() > options_.idle) idle.push_back(id);
    }
    for (const Id id : idle) end(id, now);
  }

  void publish() {
    const base::MutexLock lock(mutex_);
    stats_.parked = book_.parked();
    stats_.parked_peers = book_.parked_peers();
    stats_.waiting = book_.waiting();
    stats_.tunnels = book_.tunnels();
    stats_.opened = opened_;
    stats_.bytes = bytes_;
    stats_.refused = refused_;
    stats_.broken = broken_;
  }

  int timeout(Clock::time_point next_tick) const {
    if (!ready_.empty()) return 0;
    if (guests_.empty() && tunnels_.empty()) return -1;
    auto next = next_tick;
    if (const auto waiting = book_.next()) next = std::min(next, *waiting);
    for (const Id id : held_) next = std::min(next, tunnels_.at(id).tunnel->held_until());
    const auto left = std::chrono::ceil<milliseconds>(next - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }

  void run() {
    std::array<epoll_event, 64> events;
    auto next_tick = Clock::now() + kRelayTick;
    while (!stopping_) {
      const int count =
          epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout(next_tick));
      const auto now = Clock::now();
      std::set<Id> turns;
      turns.swap(ready_);
      for (const Id id : held_) {
        if (tunnels_.at(id).tunnel->held_until() <= now) turns.insert(id);
      }
      for (int i = 0; i < count; ++i) {
        const Id id = events[i].data.u64;  // by value: the struct is packed
        if (id != 0) {
          turns.insert(id);
          continue;
        }
        std::uint64_t drained = 0;
        [[maybe_unused]] const auto got = read(wake_, &drained, sizeof(drained));
      }
      take_arrived(now);
      for (const Id id : turns) turn(id, now);
      if (letting_go_) {
        while (!guests_.empty()) leave(guests_.begin()->first, now);
      }
      for (const RelayBook::Late& call : book_.overdue(now)) refuse(call.id, call.refusal, now);
      if (now >= next_tick) {
        tick(now);
        next_tick = now + kRelayTick;
      }
      publish();
    }
    guests_.clear();
    tunnels_.clear();
  }

  const RelayOptions options_;
  const int epoll_, wake_;
  std::atomic<bool> stopping_ = false, letting_go_ = false;
  mutable base::Mutex mutex_;
  std::deque<Visitor> arrived_ ABSL_GUARDED_BY(mutex_);
  RelayStats stats_ ABSL_GUARDED_BY(mutex_);

  // On the thread.
  std::vector<char> scratch_ = std::vector<char>(kTunnelChunkBytes);
  RelayBook book_;
  RelayRates rates_;
  Id last_id_ = 0;
  std::map<Id, std::unique_ptr<Guest>> guests_;
  std::map<Id, Carried> tunnels_;  // by their caller's
  std::map<Id, Id> legs_;          // both ids of a tunnel: its caller's
  std::set<Id> ready_, held_;      // held_: tunnels
  std::uint64_t opened_ = 0, bytes_ = 0, broken_ = 0;
  decltype(RelayStats::refused) refused_{};

  std::thread thread_;
};

Relay::Relay(const RelayOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Relay::~Relay() = default;
Door Relay::door() {
  return [this](Visitor visitor) { impl_->arrive(std::move(visitor)); };
}
void Relay::let_go() { impl_->let_go(); }
RelayStats Relay::stats() const { return impl_->stats(); }

}  // namespace shoal::net
