// SPDX-License-Identifier: Apache-2.0
#include "net/port_mapping.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <future>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "net/gateway_mapping.h"
#include "net/upnp_router.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kProbe{1'600};    // of PCP and NAT-PMP
constexpr milliseconds kMapWait{2'000};  // for one mapping by either
constexpr milliseconds kGiveBack{1'000};
// A router that restarts is asked for its epoch this often: a datagram on the local network.
constexpr seconds kLookAtEpoch{60};
// After a refusal, and of a mapping without an end: routers forget those, too.
constexpr seconds kAgain{120}, kRenewPermanent{1'800};

}  // namespace

const char* name_of(MappingProtocol protocol) {
  switch (protocol) {
    case MappingProtocol::kPcp:
      return "PCP";
    case MappingProtocol::kNatPmp:
      return "NAT-PMP";
    case MappingProtocol::kUpnp:
      return "UPnP";
  }
  return "?";
}

class PortMapper::Impl {
 public:
  Impl(const PortMapperOptions& options, std::function<void()> changed)
      : options_(options), changed_(std::move(changed)), gateway_(options), thread_([this] {
          pthread_setname_np(pthread_self(), "map");
          run();
        }) {}

  ~Impl() {
    stop_.stop(1);
    {
      const base::MutexLock lock(mutex_);
      ended_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  RouterOffers offers(Time deadline, const base::StopToken& stop) {
    const base::MutexLock lock(mutex_);
    while (!looked_ && may_wait(deadline, stop)) wait_a_moment(deadline);
    return offers_;
  }

  absl::StatusOr<PortMapping> map(Time deadline, const base::StopToken& stop) {
    const base::MutexLock lock(mutex_);
    wanted_ = true;
    wake_.notify_all();
    while (!tried_ && may_wait(deadline, stop)) wait_a_moment(deadline);
    if (!tried_) return absl::DeadlineExceededError("the router has not answered yet");
    return mapping_;
  }

  void renew() {
    const base::MutexLock lock(mutex_);
    due_ = Time{};
    tried_ = false;
    wake_.notify_all();
  }

  absl::StatusOr<PortMapping> mapping() const {
    const base::MutexLock lock(mutex_);
    return mapping_;
  }

 private:
  bool may_wait(Time deadline, const base::StopToken& stop) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !ended_ && !stop.stopped() && Clock::now() < deadline;
  }
  void wait_a_moment(Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    wake_.wait_until(mutex_, std::min(deadline, Clock::now() + base::kStopPoll));
  }

  void run() {
    look();
    look_at_epoch_ = Clock::now() + kLookAtEpoch;
    while (wait_for_work()) {
      const auto now = Clock::now();
      bool due = is_due();
      if (now >= look_at_epoch_) {
        look_at_epoch_ = now + kLookAtEpoch;
        if (gateway_.has_forgotten(now + milliseconds(500), stop_)) {
          spdlog::info("the router has restarted: asks it for the port again");
          due = true;
        }
      }
      if (due) map_now();
    }
    give_back();
  }

  // False at the end.
  bool wait_for_work() {
    while (true) {
      if (search_.valid() && search_.wait_for(milliseconds(0)) == std::future_status::ready)
        take_upnp();
      const base::MutexLock lock(mutex_);
      if (ended_) return false;
      const auto now = Clock::now();
      if (wanted_ && (now >= due_ || now >= look_at_epoch_)) return true;
      Time until = wanted_ ? std::min(due_, look_at_epoch_) : now + seconds(60);
      if (search_.valid()) until = std::min(until, now + base::kStopPoll);
      wake_.wait_until(mutex_, until);
    }
  }

  bool is_due() const {
    const base::MutexLock lock(mutex_);
    return Clock::now() >= due_;
  }

  // Both searches at once: UPnP's blocks, so it has a thread for as long as it takes.
  void look() {
    if (options_.route.source.is_v4()) {
      try {
        search_ = std::async(std::launch::async,
                             [source = options_.route.source] { return UpnpRouter::find(source); });
      } catch (const std::system_error&) {  // no thread to be had: without UPnP then
      }
    }
    const RouterOffers found = gateway_.probe(Clock::now() + kProbe, stop_);
    const base::MutexLock lock(mutex_);
    offers_ = found;
    looked_ = !search_.valid();
    wake_.notify_all();
  }

  // Waits for the end of the search.
  void take_upnp() {
    upnp_ = search_.get();
    const base::MutexLock lock(mutex_);
    offers_.upnp = upnp_ != nullptr;
    looked_ = true;
    wake_.notify_all();
  }

  void map_now() {
    std::optional<PortMapping> before;
    {
      const base::MutexLock lock(mutex_);
      if (mapping_.ok()) before = *mapping_;
    }
    absl::StatusOr<PortMapping> mapping = gateway_.map(before, Clock::now() + kMapWait, stop_);
    if (!mapping.ok() && search_.valid()) take_upnp();
    if (!mapping.ok() && upnp_ != nullptr) {
      const std::uint16_t wanted = before ? before->external.port : options_.port;
      mapping = upnp_->map(options_.port, wanted, options_.lease);
    }
    const seconds wait = !mapping.ok()                ? kAgain
                         : mapping->lease.count() > 0 ? std::max(mapping->lease / 2, seconds(1))
                                                      : kRenewPermanent;
    bool is_news = false;
    {
      const base::MutexLock lock(mutex_);
      is_news = std::exchange(published_, true) &&
                (mapping.ok() != mapping_.ok() ||
                 (mapping.ok() && (mapping->external != mapping_->external ||
                                   mapping->udp_port != mapping_->udp_port)));
      mapping_ = std::move(mapping);
      tried_ = true;
      due_ = Clock::now() + wait;
      wake_.notify_all();
    }
    if (is_news) changed_();
  }

  void give_back() {
    const absl::StatusOr<PortMapping> mapping = this->mapping();
    if (!mapping.ok()) return;
    if (mapping->protocol == MappingProtocol::kUpnp) {
      if (upnp_ != nullptr) upnp_->remove(*mapping);
    } else {
      gateway_.remove(*mapping, Clock::now() + kGiveBack);
    }
  }

  const PortMapperOptions options_;
  const std::function<void()> changed_;
  base::StopToken stop_;
  GatewayPorts gateway_;              // of the thread
  std::unique_ptr<UpnpRouter> upnp_;  // likewise, and what follows
  std::future<std::unique_ptr<UpnpRouter>> search_;
  Time look_at_epoch_{};

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool looked_ ABSL_GUARDED_BY(mutex_) = false;  // all that the router offers is known
  bool tried_ ABSL_GUARDED_BY(mutex_) = false;   // since it was wanted, or wanted anew
  bool published_ ABSL_GUARDED_BY(mutex_) = false;
  Time due_ ABSL_GUARDED_BY(mutex_){};  // when to map, or to renew
  RouterOffers offers_ ABSL_GUARDED_BY(mutex_);
  absl::StatusOr<PortMapping> mapping_ ABSL_GUARDED_BY(mutex_) =
      absl::NotFoundError("no port is mapped");

  std::thread thread_;  // last: it uses the rest
};

PortMapper::PortMapper(const PortMapperOptions& options, std::function<void()> changed)
    : impl_(std::make_unique<Impl>(options, std::move(changed))) {}
PortMapper::~PortMapper() = default;

RouterOffers PortMapper::offers(std::chrono::steady_clock::time_point deadline,
                                const base::StopToken& stop) {
  return impl_->offers(deadline, stop);
}
absl::StatusOr<PortMapping> PortMapper::map(std::chrono::steady_clock::time_point deadline,
                                            const base::StopToken& stop) {
  return impl_->map(deadline, stop);
}
void PortMapper::renew() { impl_->renew(); }
absl::StatusOr<PortMapping> PortMapper::mapping() const { return impl_->mapping(); }

}  // namespace shoal::net
