// SPDX-License-Identifier: Apache-2.0
#include "net/bridge.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "base/mutex.h"
#include "net/bridge_connection.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kTick = milliseconds(500);
// For what gRPC wrote just before it closed; the peers' kernels take it at once as a rule.
constexpr auto kFarewellTimeout = milliseconds(500);

}  // namespace

// Only for bridges that take visitors.
void BridgeOwner::on_visitor(std::unique_ptr<BridgeOwner> /*self*/, int /*socket*/,
                             std::unique_ptr<TlsStream> /*tls*/) {
  CHECK(false) << "a visitor for a bridge that takes none";
}

// Edge-triggered: whoever gets a turn goes on until nothing moves.
class Bridges::Thread {
 public:
  Thread() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    CHECK(epoll_ >= 0 && wake_ >= 0);
    epoll_event event{EPOLLIN, {nullptr}};
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
    thread_ = std::thread([this] { run(); });
  }

  ~Thread() {
    stopping_ = true;
    wake();
    thread_.join();
    close(wake_);
    close(epoll_);
  }

  void add(BridgePlan plan) {
    ++size_;
    {
      const base::MutexLock lock(mutex_);
      plans_.push_back(std::move(plan));
    }
    wake();
  }

  std::size_t size() const { return size_; }

 private:
  void wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_, &one, sizeof(one));
  }

  void watch(int fd, BridgeConnection* connection) {
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {connection}};
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
  }

  void take_plans() {
    std::deque<BridgePlan> plans;
    {
      const base::MutexLock lock(mutex_);
      plans.swap(plans_);
    }
    for (BridgePlan& plan : plans) {
      auto connection =
          std::make_unique<BridgeConnection>(std::move(plan), scratch_.data(), Clock::now());
      watch(connection->socket(), connection.get());
      ready_.insert(connection.get());
      connections_.emplace(connection.get(), std::move(connection));
    }
  }

  // Whoever is over goes, at the end of the round.
  void turn(BridgeConnection* connection, Clock::time_point now) {
    const bool had_local = connection->local() >= 0;
    bool more = connection->turn(now);
    if (connection->is_visitor()) {
      CHECK(epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->socket(), nullptr) == 0);
      connection->hand_over();
    }
    if (!had_local && connection->local() >= 0) {
      watch(connection->local(), connection);
      more = true;
    }
    if (connection->is_over()) {
      over_.insert(connection);
    } else if (more) {
      ready_.insert(connection);
    } else if (connection->held_until() > now) {
      held_.insert(connection);
    }
  }

  void release(Clock::time_point now) {
    for (auto held = held_.begin(); held != held_.end();) {
      const bool waits = (*held)->held_until() > now;
      if (!waits) ready_.insert(*held);
      held = waits ? std::next(held) : held_.erase(held);
    }
  }

  void tick(Clock::time_point now) {
    for (const auto& [connection, owned] : connections_) {
      connection->tick(now);
      (connection->is_over() ? over_ : ready_).insert(connection);
    }
  }

  void bury() {
    for (BridgeConnection* connection : over_) {
      ready_.erase(connection);
      held_.erase(connection);
      connections_.erase(connection);
      --size_;
    }
    over_.clear();
  }

  bool may_stop(Clock::time_point now) {
    if (!stopping_) return false;
    if (!farewell_) {
      farewell_ = now + kFarewellTimeout;
      for (const auto& [connection, owned] : connections_) {
        connection->hurry();
        ready_.insert(connection);
      }
      return connections_.empty();
    }
    return connections_.empty() || now >= *farewell_;
  }

  void run() {
    std::array<epoll_event, 64> events;
    Clock::time_point next_tick = Clock::now() + kTick;
    while (true) {
      int timeout = -1;
      if (!ready_.empty()) {
        timeout = 0;
      } else if (stopping_) {
        timeout = 10;
      } else if (!connections_.empty()) {
        auto next = next_tick;
        for (const auto* connection : held_) next = std::min(next, connection->held_until());
        const auto left = std::chrono::ceil<milliseconds>(next - Clock::now());
        timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
      }
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
      const auto now = Clock::now();
      release(now);
      std::unordered_set<BridgeConnection*> turns;
      turns.swap(ready_);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr != nullptr) {
          // A closed descriptor still has events while a forked child holds its other copy.
          auto* const connection = static_cast<BridgeConnection*>(events[i].data.ptr);
          if (connections_.contains(connection)) turns.insert(connection);
          continue;
        }
        std::uint64_t drained = 0;
        [[maybe_unused]] const auto got = read(wake_, &drained, sizeof(drained));
      }
      take_plans();
      for (BridgeConnection* connection : turns) turn(connection, now);
      if (now >= next_tick) {
        tick(now);
        next_tick = now + kTick;
      }
      bury();
      if (may_stop(now)) break;
    }
    connections_.clear();
    take_plans();  // whoever came too late is told, and closed
    connections_.clear();
  }

  const int epoll_;
  const int wake_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> size_ = 0;
  base::Mutex mutex_;
  std::deque<BridgePlan> plans_ ABSL_GUARDED_BY(mutex_);
  std::vector<char> scratch_ = std::vector<char>(kBridgeChunkBytes);
  std::unordered_map<BridgeConnection*, std::unique_ptr<BridgeConnection>> connections_;
  std::unordered_set<BridgeConnection*> ready_, held_, over_;
  std::optional<Clock::time_point> farewell_;
  std::thread thread_;
};

Bridges::Bridges(int threads) {
  CHECK(threads > 0);
  for (int i = 0; i < threads; ++i) threads_.push_back(std::make_unique<Thread>());
}

Bridges::~Bridges() = default;

void Bridges::add(BridgePlan plan) {
  Thread* least = threads_.front().get();
  for (const auto& thread : threads_) {
    if (thread->size() < least->size()) least = thread.get();
  }
  least->add(std::move(plan));
}

std::size_t Bridges::size() const {
  std::size_t size = 0;
  for (const auto& thread : threads_) size += thread->size();
  return size;
}

}  // namespace shoal::net
