// SPDX-License-Identifier: Apache-2.0
#include "node/member/joiner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <system_error>
#include <thread>

#include "base/mutex.h"
#include "identity/random.h"
#include "net/resolve.h"
#include "node/member/join_wait.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A name that is found is found within this; later ones take part in the next try.
constexpr std::uint32_t kNamesMs = 1'000;
constexpr std::uint32_t kRejoinTryMs = 8'000;
// Who was named has so long before those are asked that are remembered from the last run: these may
// be of another swarm, and then the named one is meant.
constexpr std::uint32_t kNamedAloneMs = 3'000;

std::uint64_t since(Clock::time_point start) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(Clock::now() - start).count());
}

std::string text_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace

struct Joiner::Names {
  struct Name {
    bool pending = false;
    absl::Status status;
    std::vector<proto::Endpoint> endpoints;
  };
  mutable base::Mutex mutex;
  std::map<std::string, Name> all ABSL_GUARDED_BY(mutex);
};

Joiner::Joiner(std::vector<std::string> addresses, const base::StopToken& stop)
    : addresses_(std::move(addresses)), stop_(stop), names_(std::make_shared<Names>()) {}

Joiner::~Joiner() = default;

void Joiner::look_up() {
  for (const std::string& address : addresses_) {
    {
      const base::MutexLock lock(names_->mutex);
      Names::Name& name = names_->all[address];
      if (name.pending) continue;
      if (auto numeric = proto::parse_endpoint(address); numeric.ok()) {
        name.endpoints = {*numeric};
        continue;
      }
      name.pending = true;
    }
    const auto settle = [names = names_,
                         address](absl::StatusOr<std::vector<proto::Endpoint>> found) {
      const base::MutexLock lock(names->mutex);
      Names::Name& name = names->all[address];
      name.pending = false;
      name.status = found.status();
      // Yesterday's address is better than none.
      if (found.ok()) name.endpoints = *std::move(found);
    };
    try {
      std::thread([settle, address] {
        settle(net::resolve(address, proto::AddressUse::kDial));
      }).detach();
    } catch (const std::system_error& error) {
      settle(absl::ResourceExhaustedError(
          fmt::format("cannot look up {}: no thread to do it ({})", address, error.what())));
    }
  }
}

absl::Status Joiner::wait_for_names(std::uint32_t timeout_ms) const {
  const auto deadline = Clock::now() + milliseconds(timeout_ms);
  while (Clock::now() < deadline) {
    if (stop_.stopped()) return stop_.status();
    {
      const base::MutexLock lock(names_->mutex);
      if (std::none_of(names_->all.begin(), names_->all.end(),
                       [](const auto& entry) { return entry.second.pending; })) {
        break;
      }
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  return absl::OkStatus();
}

std::vector<proto::Endpoint> Joiner::endpoints() const {
  std::vector<proto::Endpoint> result;
  const base::MutexLock lock(names_->mutex);
  for (const std::string& address : addresses_) {  // in the user's order
    const auto found = names_->all.find(address);
    if (found == names_->all.end()) continue;
    for (const proto::Endpoint& endpoint : found->second.endpoints) {
      if (std::find(result.begin(), result.end(), endpoint) == result.end())
        result.push_back(endpoint);
    }
  }
  return result;
}

absl::Status Joiner::not_found() const {
  const base::MutexLock lock(names_->mutex);
  for (const auto& [address, name] : names_->all) {
    if (!name.status.ok()) return name.status;
  }
  return absl::UnavailableError(
      fmt::format("no name server has answered for {} yet", fmt::join(addresses_, ", ")));
}

absl::Status Joiner::join(net::Directory& swarm, std::optional<std::uint32_t> limit_ms,
                          const AfterFailure& after_failure) {
  const auto started = Clock::now();
  identity::Random random = identity::Random::from_system();
  JoinWait wait(limit_ms);
  bool recalled = !swarm.holds_table(), knows_former = false;
  const auto try_once = [&](const std::vector<proto::Endpoint>& peers, std::uint32_t try_ms) {
    const bool hopeless = peers.empty() && !knows_former;
    absl::Status joined = hopeless ? not_found() : swarm.bootstrap(peers, try_ms, stop_);
    // Why there is nobody to ask by name.
    if (absl::IsUnavailable(joined) || absl::IsInvalidArgument(joined))
      return peers.empty() ? not_found() : joined;
    return joined;
  };
  while (true) {
    look_up();
    if (absl::Status status = wait_for_names(kNamesMs); !status.ok()) return status;
    // A lone name that is slow to be found: there is nothing else to try.
    while (endpoints().empty() && since(started) < wait.try_ms(0)) {
      const std::uint64_t before = since(started);
      if (absl::Status status = wait_for_names(kNamesMs); !status.ok()) return status;
      if (since(started) - before < kNamesMs / 2) break;  // none is pending
    }
    const auto peers = endpoints();
    std::uint32_t try_ms = wait.try_ms(since(started));
    // Of a limit, half is left for the others.
    if (!recalled) try_ms = std::min(limit_ms.value_or(2 * kNamedAloneMs) / 2, kNamedAloneMs);
    absl::Status joined = try_once(peers, try_ms);
    if (!joined.ok() && !absl::IsCancelled(joined) && !std::exchange(recalled, true)) {
      if (absl::Status found = after_failure(peers); !found.ok()) return found;
      knows_former = swarm.recall() > 0;
      joined = try_once(peers, wait.try_ms(since(started)));
    }
    if (joined.ok()) {
      found_former_ = knows_former && !swarm.is_answered_at_joined();
      if (since(started) > kRejoinTryMs)
        spdlog::info("the swarm answers, after {} s", since(started) / 1000);
      return joined;
    }
    if (absl::IsCancelled(joined)) return joined;
    if (absl::Status found = after_failure(peers); !found.ok()) return found;
    const auto pause = wait.pause_ms(since(started), random.unit());
    if (!pause) return joined;
    if (wait.tell(since(started))) {
      spdlog::warn("{}. Trying again until it answers (Ctrl-C ends it, --join-timeout limits it)",
                   text_of(joined));
    }
    if (!base::sleep_for(milliseconds(*pause), stop_)) return stop_.status();
  }
}

void Joiner::rejoin(net::Directory& swarm) {
  look_up();
  const auto peers = endpoints();
  if (peers.empty()) return;
  swarm.begin_bootstrap(peers, kRejoinTryMs);
}

}  // namespace shoal::node
