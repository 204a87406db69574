// SPDX-License-Identifier: Apache-2.0
#include "net/channel_pool.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutex.h"
#include "net/dialer.h"
#include "net/identity_tls.h"
#include "net/punch_plan.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A failed connection that nobody holds is kept for the wait before the next try, and a little.
constexpr std::chrono::seconds kFailureKept{10};

// A peer that we hung up on is not dialled for so long.
constexpr std::chrono::seconds kFaultRemembered{60};

absl::Status why_refused(Fault fault) {
  return absl::UnavailableError(absl::StrCat("we hung up on it a moment ago (", words_of(fault),
                                             "), and call it again in a minute"));
}

// The threads that run reactors live as long as a channel or server of the process uses them. A
// stream that ends may be the last to hold its channel, and that one the last of the process: such
// a thread would then end, and free, itself, and gRPC 1.51 corrupts the heap. A server without a
// port keeps them for good.
void keep_reactor_threads() {
  static auto* const service = new grpc::CallbackGenericService;
  static auto* const server = [] {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(service);
    return builder.BuildAndStart().release();
  }();
  CHECK(server != nullptr);
}

identity::Certificate certificate_of(const identity::Identity& identity,
                                     const std::optional<identity::SwarmKey>& swarm_key) {
  init_transport();
  keep_reactor_threads();
  return identity::make_certificate(identity, swarm_key);
}

// After so many failures in a row.
milliseconds pause_after(int failures) {
  double pause = proto::kReconnectMinMs;
  for (int i = 1; i < failures && pause < proto::kReconnectMaxMs; ++i) pause *= 1.6;
  return milliseconds(static_cast<int>(std::min<double>(pause, proto::kReconnectMaxMs)));
}

}  // namespace

class ChannelPool::Impl {
 public:
  Impl(const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key)
      : dialer_(certificate_of(identity, swarm_key), swarm_key, [this] { sweep(); }) {}

  ~Impl() {  // the connections' timers live on the dialler's context
    Entries dropped;
    const base::MutexLock lock(mutex_);
    dropped.swap(entries_);
    order_.clear();
  }

  std::shared_ptr<grpc::Channel> get(const proto::PeerId& peer,
                                     const std::vector<proto::Address>& addresses) {
    CHECK(!addresses.empty());
    std::shared_ptr<grpc::Channel> dropped;  // dies after the lock
    const base::MutexLock lock(mutex_);
    const auto now = Clock::now();
    int failures = 0;
    if (const auto found = entries_.find(peer); found != entries_.end()) {
      Entry& entry = found->second;
      order_.splice(order_.begin(), order_, entry.place);
      entry.used = now;
      if (stays(entry, addresses, now)) return entry.dialled.channel;
      failures = entry.failures;
      dropped = remove(found);
    } else if (entries_.size() >= proto::kMaxChannels) {
      dropped = evict();
    }
    order_.push_front(peer);
    Entry& entry = entries_[peer];
    entry.place = order_.begin();
    entry.used = now;
    entry.failures = failures;
    entry.tried = addresses;
    entry.dialled = connect(peer, addresses, now);
    return entry.dialled.channel;
  }

  void await_direct(const std::vector<proto::PeerId>& peers, Clock::time_point deadline,
                    const base::StopToken& stop) {
    const base::MutexLock lock(mutex_);
    for (const proto::PeerId& peer : peers) {
      const auto found = entries_.find(peer);
      if (found != entries_.end()) meet(peer, found->second.dialled, Clock::now());
    }
    for (auto now = Clock::now(); now < deadline && !stop.stopped(); now = Clock::now()) {
      if (!any_meets(peers)) return;
      met_.wait_until(mutex_, std::min<Clock::time_point>(deadline, now + base::kStopPoll));
    }
  }

  bool may_become_direct(const proto::PeerId& peer) {
    const base::MutexLock lock(mutex_);
    const auto found = entries_.find(peer);
    if (found == entries_.end() || found->second.dialled.connection == nullptr) return false;
    if (found->second.dialled.connection->state().phase == Outgoing::Phase::kDialling) {
      // It may come up through one of its relays, if it has any.
      return !std::ranges::all_of(found->second.tried, &proto::Address::is_direct);
    }
    meet(peer, found->second.dialled, Clock::now());
    return meeting_.contains(peer);
  }

  void drop(const proto::PeerId& peer) {
    std::shared_ptr<grpc::Channel> dropped;
    const base::MutexLock lock(mutex_);
    if (const auto found = entries_.find(peer); found != entries_.end()) dropped = remove(found);
  }

  std::optional<proto::Address> connected_address(const proto::PeerId& peer) const {
    const base::MutexLock lock(mutex_);
    const auto found = entries_.find(peer);
    if (found == entries_.end() || found->second.dialled.connection == nullptr) return std::nullopt;
    const Outgoing::State state = found->second.dialled.connection->state();
    if (state.phase != Outgoing::Phase::kUp || !state.address) return std::nullopt;
    return *state.address;
  }

  std::size_t size() const {
    const base::MutexLock lock(mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    Dialer::Dialled dialled;
    std::vector<proto::Address> tried;
    int failures = 0;  // in a row, before this connection
    Clock::time_point used;
    std::list<proto::PeerId>::iterator place;
  };
  using Entries = std::map<proto::PeerId, Entry>;

  struct Past {
    std::optional<proto::Address> worked;  // tried first the next time
    Fault fault = Fault::kNone;
    Clock::time_point refused_until;
  };

  Dialer::Dialled connect(const proto::PeerId& peer, const std::vector<proto::Address>& addresses,
                          Clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Past past = past_of(peer);
    if (now < past.refused_until) return dialer_.refuse(peer, why_refused(past.fault));
    return dialer_.dial(peer, addresses, past.worked);
  }

  // Whether the entry's channel is the one to use; else it is to be made anew.
  bool stays(Entry& entry, const std::vector<proto::Address>& addresses, Clock::time_point now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (entry.dialled.connection == nullptr) return false;
    const Outgoing::State state = entry.dialled.connection->state();
    const bool names_others =
        std::any_of(addresses.begin(), addresses.end(), [&](const proto::Address& address) {
          return std::find(entry.tried.begin(), entry.tried.end(), address) == entry.tried.end();
        });
    switch (state.phase) {
      case Outgoing::Phase::kDialling:
        if (names_others) {
          entry.tried.insert(entry.tried.end(), addresses.begin(), addresses.end());
          dialer_.add(entry.dialled.connection, addresses);
        }
        return true;
      case Outgoing::Phase::kUp:
        return true;
      case Outgoing::Phase::kEnded:
        break;
    }
    if (state.came_up) {
      entry.failures = 0;
      return false;
    }
    if (!names_others && now < state.ended_at + pause_after(entry.failures + 1)) return true;
    ++entry.failures;
    return false;
  }

  std::shared_ptr<grpc::Channel> remove(Entries::iterator entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    remember(*entry);
    std::shared_ptr<grpc::Channel> channel = std::move(entry->second.dialled.channel);
    order_.erase(entry->second.place);
    entries_.erase(entry);
    return channel;
  }

  Past past_of(const proto::PeerId& peer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = past_.find(peer);
    return found == past_.end() ? Past() : found->second;
  }

  void remember(const Entries::value_type& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (entry.second.dialled.connection == nullptr) return;
    const Outgoing::State state = entry.second.dialled.connection->state();
    const bool did_harm = state.fault != Fault::kNone;
    if (!did_harm && (!state.came_up || !state.address)) return;
    if (past_.size() >= 4 * proto::kMaxChannels) past_.clear();
    Past& past = past_[entry.first];
    if (state.came_up) past.worked = state.address;
    if (!did_harm) return;
    past.fault = state.fault;
    past.refused_until = state.ended_at + kFaultRemembered;
  }

  // The longest unused that nobody holds, else the longest unused: whoever holds that one keeps it
  // working.
  std::shared_ptr<grpc::Channel> evict() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto peer = order_.rbegin(); peer != order_.rend(); ++peer) {
      const auto entry = entries_.find(*peer);
      if (entry->second.dialled.channel.use_count() == 1) return remove(entry);
    }
    return remove(entries_.find(order_.back()));
  }

  bool any_meets(const std::vector<proto::PeerId>& peers) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const proto::PeerId& peer : peers) {
      if (meeting_.contains(peer)) return true;
    }
    return false;
  }

  // Whom a relay reaches for us, it may be that we reach ourselves.
  void meet(const proto::PeerId& peer, const Dialer::Dialled& dialled, Clock::time_point now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (dialled.connection == nullptr) return;
    const Outgoing::State state = dialled.connection->state();
    if (state.phase != Outgoing::Phase::kUp || !state.relayed || !meetings_.begin(peer, now))
      return;
    meeting_.insert(peer);
    dialer_.meet(
        peer, dialled.channel, *state.relayed,
        [this, peer](absl::StatusOr<Dialer::Dialled> direct) { met(peer, std::move(direct)); });
  }

  // What is under way goes on through the relay; whatever begins from now on has the direct way.
  void met(const proto::PeerId& peer, absl::StatusOr<Dialer::Dialled> direct) {
    std::shared_ptr<grpc::Channel> before;  // dies after the lock
    const base::MutexLock lock(mutex_);
    meeting_.erase(peer);
    met_.notify_all();
    if (!direct.ok()) {
      spdlog::debug("{} stays behind its relay: {}", proto::short_name(peer),
                    std::string(direct.status().message()));
      return meetings_.failed(peer, Clock::now());
    }
    const auto found = entries_.find(peer);
    if (found == entries_.end()) return;
    spdlog::debug("{} is reached directly now", proto::short_name(peer));
    before = std::move(found->second.dialled.channel);
    found->second.dialled = *std::move(direct);
    found->second.failures = 0;
  }

  // Forgets what nobody holds and is dead, or idle for long: before the server closes it, so that
  // no call meets a closing connection.
  void sweep() {
    constexpr milliseconds kIdle{proto::kMaxConnectionIdleMs / 2};
    std::vector<std::shared_ptr<grpc::Channel>> dropped;
    const base::MutexLock lock(mutex_);
    const auto now = Clock::now();
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      const auto here = entry++;
      const Dialer::Dialled& dialled = here->second.dialled;
      if (dialled.channel.use_count() > 1) {  // of those that nobody uses only what is asked for
        meet(here->first, dialled, now);
        continue;
      }
      const std::optional<Outgoing::State> state =
          dialled.connection ? std::optional(dialled.connection->state()) : std::nullopt;
      const bool dead = !state || (state->phase == Outgoing::Phase::kEnded &&
                                   now > state->ended_at + kFailureKept);
      const bool idle = state && now > std::max(here->second.used, state->last_moved) + kIdle;
      if (dead || idle) dropped.push_back(remove(here));
    }
  }

  mutable base::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  std::list<proto::PeerId> order_ ABSL_GUARDED_BY(mutex_);  // latest use first
  // Also of peers that are no entry now.
  std::map<proto::PeerId, Past> past_ ABSL_GUARDED_BY(mutex_);
  PunchMemory meetings_ ABSL_GUARDED_BY(mutex_);
  std::set<proto::PeerId> meeting_ ABSL_GUARDED_BY(mutex_);  // under way
  base::CondVar met_;
  Dialer dialer_;  // last: its thread calls sweep()
};

ChannelPool::ChannelPool(const identity::Identity& identity,
                         const std::optional<identity::SwarmKey>& swarm_key)
    : impl_(std::make_unique<Impl>(identity, swarm_key)) {}
ChannelPool::~ChannelPool() = default;

std::shared_ptr<grpc::Channel> ChannelPool::get(const proto::PeerId& peer,
                                                const std::vector<proto::Address>& addresses) {
  return impl_->get(peer, addresses);
}
void ChannelPool::await_direct(const std::vector<proto::PeerId>& peers,
                               std::chrono::steady_clock::time_point deadline,
                               const base::StopToken& stop) {
  impl_->await_direct(peers, deadline, stop);
}
bool ChannelPool::may_become_direct(const proto::PeerId& peer) {
  return impl_->may_become_direct(peer);
}
void ChannelPool::drop(const proto::PeerId& peer) { impl_->drop(peer); }
std::optional<proto::Address> ChannelPool::connected_address(const proto::PeerId& peer) const {
  return impl_->connected_address(peer);
}
std::size_t ChannelPool::size() const { return impl_->size(); }

}  // namespace shoal::net
