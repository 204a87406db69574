// SPDX-License-Identifier: Apache-2.0
#include "node/member/reach_keeper.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <time.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/awaited.h"
#include "base/mutex.h"
#include "dht/diversity.h"
#include "identity/random.h"
#include "net/interfaces.h"
#include "node/member/dial_back_call.h"
#include "node/member/wake_watch.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kRoundEvery{600};
constexpr seconds kRoundEveryUnreached{
    60};                              // somebody may be about to open a port, or start a relay
constexpr milliseconds kTick{2'000};  // between looks whether a helper has come
constexpr milliseconds kMapperWait{4'500};
constexpr milliseconds kRelayWait{3'000};
// News of addresses come in bursts.
constexpr milliseconds kSettle{300};

std::chrono::nanoseconds reading(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

bool is_here(const std::vector<proto::Endpoint>& own) {
  return std::ranges::all_of(own,
                             [](const proto::Endpoint& address) { return address.is_loopback(); });
}

LadderOptions ladder_options(const ReachOptions& options, bool has_relays) {
  LadderOptions result;
  result.mode = options.mode;
  result.port = options.port;
  for (const proto::Endpoint& address : options.announced) {
    std::uint16_t& port = result.told_ports[address.is_v4() ? 0 : 1];
    if (port == 0) port = address.port;
  }
  result.may_map = options.may_map && options.announced.empty();
  result.may_relay = has_relays;
  return result;
}

}  // namespace

std::string ReachReport::told() const {
  return is_here_only ? "on this machine only" : ladder.told(own, relays);
}

class ReachKeeper::Impl {
 public:
  Impl(const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key,
       ReachOptions options, ReachHooks hooks)
      : identity_(identity),
        swarm_key_(swarm_key),
        options_(std::move(options)),
        hooks_(std::move(hooks)),
        random_(identity::Random::from_system()),
        ladder_(ladder_options(options_, hooks_.relays.start != nullptr)),
        thread_([this] {
          pthread_setname_np(pthread_self(), "reach");
          run();
        }) {}

  ~Impl() {
    {
      const base::MutexLock lock(mutex_);
      stop_.stop(1);
    }
    wake_.notify_all();
    thread_.join();
  }

  bool await_first(Time deadline, const base::StopToken& stop) {
    const base::MutexLock lock(mutex_);
    while (!first_done_ && !stop.stopped() && Clock::now() < deadline)
      wake_.wait_until(mutex_, std::min(deadline, Clock::now() + base::kStopPoll));
    return first_done_;
  }

  void look_again() {
    const base::MutexLock lock(mutex_);
    again_ = true;
    wake_.notify_all();
  }
  void relays_changed() {
    const base::MutexLock lock(mutex_);
    relays_changed_ = true;
    wake_.notify_all();
  }

  ReachReport report() const {
    ReachReport report;
    {
      const base::MutexLock lock(mutex_);
      report = report_;
    }
    report.relays = relay_addresses();
    return report;
  }

  std::vector<proto::Address> announced(const std::vector<proto::Endpoint>& own) const {
    const std::vector<proto::Address> relays = relay_addresses();
    const base::MutexLock lock(mutex_);
    if (report_.is_here_only || !first_done_ || own != report_.own) {
      // Not looked at yet. Relays are where they are.
      const std::size_t through = std::min<std::size_t>(relays.size(), 2);
      const auto room = static_cast<std::ptrdiff_t>(proto::kMaxRecordAddresses - through);
      std::vector<proto::Address> all(own.begin(), own.begin() + std::min(std::ssize(own), room));
      all.insert(all.end(), relays.begin(), relays.begin() + static_cast<std::ptrdiff_t>(through));
      return all;
    }
    return report_.ladder.announced(own, relays);
  }

  std::array<std::optional<net::RouterOffers>, 2> routers(Time deadline,
                                                          const base::StopToken& stop) {
    std::array<std::optional<net::RouterOffers>, 2> result;
    for (std::size_t i = 0; i < result.size(); ++i) {
      std::shared_ptr<net::PortMapper> mapper;
      {
        const base::MutexLock lock(mutex_);
        mapper = mappers_[i];
      }
      if (mapper != nullptr) result[i] = mapper->offers(deadline, stop);
    }
    return result;
  }

 private:
  std::vector<proto::Address> relay_addresses() const {
    if (hooks_.relays.addresses == nullptr) return {};
    return hooks_.relays.addresses();
  }

  void run() {
    while (!stop_.stopped()) {
      round();
      wait();
    }
    std::array<std::shared_ptr<net::PortMapper>, 2> last;  // gives back, behind the lock
    const base::MutexLock lock(mutex_);
    last.swap(mappers_);
  }

  // Until it is time for another round.
  void wait() {
    const bool lonely = is_lonely();
    const seconds pause =
        ladder_.wants_relays() && relay_addresses().empty() ? kRoundEveryUnreached : kRoundEvery;
    const Time next = Clock::now() + pause;
    watch_ = {};  // the round may have taken long
    stood_still();
    while (!stop_.stopped() && Clock::now() < next) {
      bool relays = false;
      {
        const base::MutexLock lock(mutex_);
        if (!again_ && !relays_changed_ && !stop_.stopped())
          wake_.wait_until(mutex_, Clock::now() + kTick);
        if (again_) break;
        relays = std::exchange(relays_changed_, false);
      }
      if (relays && relaying_) {
        ladder_.relayed(relay_addresses().size());
        publish(false);
      }
      if (stood_still()) {
        spdlog::info("this process stood still for a while: looks anew how others reach it");
        hooks_.woke();
        for (const auto& mapper : mappers()) {
          if (mapper != nullptr) mapper->renew();
        }
        break;
      }
      if (lonely && has_new_helper()) break;
    }
    bool burst = false;
    {
      const base::MutexLock lock(mutex_);
      burst = std::exchange(again_, false);
    }
    if (burst) base::sleep_for(kSettle, stop_);
  }

  bool stood_still() {
    return watch_.woke(reading(CLOCK_MONOTONIC), reading(CLOCK_BOOTTIME), kTick);
  }

  std::array<std::shared_ptr<net::PortMapper>, 2> mappers() const {
    const base::MutexLock lock(mutex_);
    return mappers_;
  }

  bool is_lonely() const {
    return std::ranges::any_of(
        kFamilies, [this](Family family) { return ladder_.rung(family) == Rung::kNobodyToAsk; });
  }

  // For a family that nobody could be asked about: somebody who was not asked yet.
  bool has_new_helper() {
    const std::vector<Helper> known = hooks_.helpers();
    return std::ranges::any_of(kFamilies, [&](Family family) {
      if (ladder_.rung(family) != Rung::kNobodyToAsk) return false;
      const auto chosen =
          choose_helpers(known, machine_, family == Family::kV4, proto::kDialBackHelpers, random_);
      return std::ranges::any_of(chosen, [this](const Helper& helper) {
        return std::ranges::find(asked_, helper) == asked_.end();
      });
    });
  }

  void round() {
    std::vector<proto::Endpoint> own = hooks_.own();
    // At other addresses nothing is known.
    if (ladder_.is_elsewhere(own_, own)) ladder_.forget();
    own_ = std::move(own);
    machine_ = hooks_.machine();
    machine_.insert(machine_.end(), own_.begin(), own_.end());
    asked_.clear();
    // Whoever is told to go through relays does, on one machine too.
    const bool by_relay = options_.mode == ReachMode::kRelay;
    if (is_here(own_) && !by_relay) return publish(true);
    const auto has = [this, by_relay](Family family) {
      return std::ranges::any_of(own_, [family, by_relay](const proto::Endpoint& address) {
        return is_of(family, address) && (by_relay || !address.is_loopback());
      });
    };
    std::vector<Helper> helpers = hooks_.helpers();
    const std::vector<proto::Address> relays = relay_addresses();
    for (Helper& helper : helpers) {
      helper.is_relay = std::ranges::any_of(
          relays, [&](const proto::Address& relay) { return relay.relay == helper.peer; });
    }
    for (const Family family : kFamilies) {  // it may have changed by itself
      const auto mapper = mappers()[static_cast<std::size_t>(family)];
      if (mapper != nullptr && ladder_.mapping(family)) ladder_.remap(family, mapper->mapping());
    }
    ladder_.begin(has(Family::kV4), has(Family::kV6));
    if (options_.mode == ReachMode::kAuto) look_for_router(helpers);
    while (!stop_.stopped() && !ladder_.is_settled()) {
      ask(helpers);
      for (const Family family : kFamilies) {
        if (ladder_.next(family) == Ladder::Step::kMap) map(family);
      }
      const bool relay = std::ranges::any_of(kFamilies, [this](Family family) {
        return ladder_.next(family) == Ladder::Step::kRelay;
      });
      const bool others_ask = std::ranges::any_of(
          kFamilies, [this](Family family) { return ladder_.next(family) == Ladder::Step::kAsk; });
      if (relay && !others_ask) ladder_.relayed(await_relays());
    }
    publish(false);
    if (const auto outside = ladder_.untried_from_inside(own_)) {
      const Helper ourselves{identity_.peer_id(), *outside};
      ladder_.tried_from_inside(helper_round_trip(identity_, swarm_key_, ourselves).has_value());
    }
    if (!ladder_.wants_relays()) {
      if (std::exchange(relaying_, false)) hooks_.relays.stop();
    } else if (!std::exchange(relaying_, true)) {
      hooks_.relays.start();
    }
  }

  void ask(const std::vector<Helper>& known) {
    std::vector<DialBackRound> rounds;
    std::vector<Family> families;
    for (const Family family : kFamilies) {
      if (ladder_.next(family) != Ladder::Step::kAsk) continue;
      DialBackRound round{ladder_.port_to_ask(family), ladder_.asks_udp(family), {}};
      round.helpers =
          choose_helpers(known, machine_, family == Family::kV4, proto::kDialBackHelpers, random_);
      // What our port holds with a relay lets that one in, and tells nothing of others.
      if (relaying_) {
        const std::vector<Helper> all = round.helpers;
        const std::size_t relays = std::erase_if(round.helpers, &Helper::is_relay);
        if (relays > 0 && round.helpers.empty()) {
          if (ladder_.only_relays_to_ask(family) != Ladder::Step::kAsk) continue;
          round.helpers = all;
        }
      }
      asked_.insert(asked_.end(), round.helpers.begin(), round.helpers.end());
      rounds.push_back(std::move(round));
      families.push_back(family);
    }
    if (rounds.empty()) return;
    const auto answers = ask_dial_backs(identity_, swarm_key_, rounds, stop_);
    for (std::size_t i = 0; i < families.size() && i < answers.size(); ++i) {
      Verdict verdict = judge(answers[i], machine_);
      // Where helpers see us elsewhere than we were told to announce, they cannot test that.
      if (!options_.announced.empty() && !is_announced(verdict)) verdict = {};
      ladder_.judged(families[i], verdict);
      answers_[static_cast<std::size_t>(families[i])] = answers[i];
    }
  }

  bool is_announced(const Verdict& verdict) const {
    return verdict.seen && std::ranges::any_of(options_.announced, [&](const auto& address) {
             return address.address == verdict.seen->address;
           });
  }

  // A search takes up to two seconds: it begins beside the first question, where the world is
  // beyond a router and our address is one that such routers give.
  void look_for_router(const std::vector<Helper>& helpers) {
    const bool beyond = std::ranges::any_of(helpers, [](const Helper& helper) {
      if (!helper.at.is_v4()) return false;
      const auto route = net::route_to(helper.at);
      return route && route->gateway;
    });
    if (beyond || options_.always_ask_router) mapper_of(Family::kV4);
  }

  std::shared_ptr<net::PortMapper> mapper_of(Family family) {
    const std::size_t at = static_cast<std::size_t>(family);
    const auto route = net::default_route(family == Family::kV4);
    const bool usable = options_.may_map && options_.announced.empty() && route && route->gateway &&
                        (family == Family::kV6 || dht::is_exempt(route->source));
    std::shared_ptr<net::PortMapper> before = mappers()[at];
    const bool same = usable && before != nullptr && routes_[at] &&
                      routes_[at]->source == route->source &&
                      routes_[at]->gateway == route->gateway;
    if (same) return before;
    std::shared_ptr<net::PortMapper> mapper;
    if (usable) {
      mapper = std::make_shared<net::PortMapper>(
          net::PortMapperOptions{.port = options_.port, .route = *route}, [this] { look_again(); });
      routes_[at] = route;
    }
    const base::MutexLock lock(mutex_);
    mappers_[at] = mapper;
    return mapper;  // `before` gives its port back behind the lock
  }

  void map(Family family) {
    const std::shared_ptr<net::PortMapper> mapper = mapper_of(family);
    if (mapper == nullptr) {
      return ladder_.mapped(family,
                            absl::NotFoundError("no router that could map a port lies between"));
    }
    if (ladder_.mapping(family)) mapper->renew();
    ladder_.mapped(family, mapper->map(Clock::now() + kMapperWait, stop_));
  }

  std::size_t await_relays() {
    if (!ladder_.wants_relays()) return 0;
    if (!std::exchange(relaying_, true)) hooks_.relays.start();
    const Time end = Clock::now() + kRelayWait;
    while (relay_addresses().empty() && Clock::now() < end && base::sleep_for(kRelayPoll, stop_))
      continue;
    return relay_addresses().size();
  }

  void publish(bool here_only) {
    const std::string told = report().told();
    bool first = false;
    {
      const base::MutexLock lock(mutex_);
      report_ = {here_only, ladder_, own_, answers_, {}};
      first = !std::exchange(first_done_, true);
      wake_.notify_all();
    }
    if (!here_only) hooks_.udp_reached(ladder_.udp_reached());
    if (const std::string now = report().told(); !first && now != told && !now.empty())
      spdlog::info("others reach this node: {}", now);
    // Against what was so the last time: relays are new at once, also in what we would say now.
    std::vector<proto::Address> now = announced(own_);
    if (now == announced_) return;
    announced_ = std::move(now);
    hooks_.changed();
  }

  static constexpr milliseconds kRelayPoll{20};

  const identity::Identity& identity_;
  const std::optional<identity::SwarmKey> swarm_key_;
  const ReachOptions options_;
  const ReachHooks hooks_;
  base::StopToken stop_;

  // Of the thread.
  identity::Random random_;
  std::vector<proto::Address> announced_;  // when it was last told that it changed
  Ladder ladder_;
  std::vector<proto::Endpoint> own_;
  std::vector<proto::Endpoint> machine_;  // own_, and what else leads to this machine
  std::vector<Helper> asked_;             // in this round
  std::array<std::vector<DialBackAnswer>, 2> answers_;
  std::array<std::optional<net::Route>, 2> routes_;
  bool relaying_ = false;
  WakeWatch watch_;

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  bool first_done_ ABSL_GUARDED_BY(mutex_) = false;
  bool again_ ABSL_GUARDED_BY(mutex_) = false;
  bool relays_changed_ ABSL_GUARDED_BY(mutex_) = false;
  ReachReport report_ ABSL_GUARDED_BY(mutex_);
  std::array<std::shared_ptr<net::PortMapper>, 2> mappers_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;  // last: it uses the rest
};

ReachKeeper::ReachKeeper(const identity::Identity& identity,
                         const std::optional<identity::SwarmKey>& swarm_key, ReachOptions options,
                         ReachHooks hooks)
    : impl_(std::make_unique<Impl>(identity, swarm_key, std::move(options), std::move(hooks))) {}
ReachKeeper::~ReachKeeper() = default;
bool ReachKeeper::await_first(std::chrono::steady_clock::time_point deadline,
                              const base::StopToken& stop) {
  return impl_->await_first(deadline, stop);
}
void ReachKeeper::look_again() { impl_->look_again(); }
void ReachKeeper::relays_changed() { impl_->relays_changed(); }
ReachReport ReachKeeper::report() const { return impl_->report(); }
std::vector<proto::Address> ReachKeeper::announced(const std::vector<proto::Endpoint>& own) const {
  return impl_->announced(own);
}
std::array<std::optional<net::RouterOffers>, 2> ReachKeeper::routers(
    std::chrono::steady_clock::time_point deadline, const base::StopToken& stop) {
  return impl_->routers(deadline, stop);
}

}  // namespace shoal::node
