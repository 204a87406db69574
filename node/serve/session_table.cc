// SPDX-License-Identifier: Apache-2.0
#include "node/serve/session_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/device/device_thread.h"

namespace shoal::node {
namespace {

constexpr std::uint32_t kSessionsRetryMs = 1'000;  // those who are idle give way within seconds
// A client opens all hops of a route at about the same time; a connection takes at most
// kConnectTimeoutMs.
constexpr auto kPushWait = std::chrono::milliseconds(proto::kConnectTimeoutMs);

using std::chrono::milliseconds;

std::int64_t missing_positions(const DeviceThread& device, std::int64_t wanted) {
  const std::int64_t free = device.stats().free_positions;
  return std::max<std::int64_t>(wanted - free, 0);
}

}  // namespace

std::optional<Refusal> SessionTable::admit(const NodeFacts& facts,
                                           const proto::PeerId& client) const {
  if (!refusing_.empty())
    return Refusal{.code = absl::StatusCode::kUnavailable, .reason = refusing_};
  const auto own = per_peer_.find(client);
  if (own != per_peer_.end() && own->second >= facts.max_sessions_per_peer) {
    return Refusal{
        .code = absl::StatusCode::kResourceExhausted,
        .reason = fmt::format("you have {} sessions here already, which is the limit of one peer",
                              own->second),
        .retry_after_ms = kSessionsRetryMs};
  }
  if (sessions_.size() >= facts.max_sessions) {
    return Refusal{.code = absl::StatusCode::kResourceExhausted,
                   .reason = fmt::format("all {} sessions of this node are taken",
                                         std::uint32_t{facts.max_sessions}),
                   .retry_after_ms = kSessionsRetryMs};
  }
  return std::nullopt;
}

std::variant<std::shared_ptr<Session>, Refusal> SessionTable::open(
    const std::shared_ptr<const Serving>& serving, const OpenRequest& request,
    const proto::PeerId& client, std::uint64_t network, const std::shared_ptr<ClientLink>& link) {
  std::shared_ptr<Session> replaced;
  {
    const base::MutexLock lock(mutex_);
    const auto found = sessions_.find(request.session_id);
    if (found != sessions_.end()) {
      if (found->second.session->client() != client) {
        return Refusal{.code = absl::StatusCode::kAlreadyExists,
                       .reason = "a session of this id exists: choose ids at random"};
      }
      replaced = found->second.session;
      forget(found);
    }
  }
  if (replaced) replaced->close();

  Need need;
  Newcomer newcomer{client, network, {}};
  {
    const base::MutexLock lock(mutex_);
    Opened opened = open_locked(serving, request, client, network, link, need);
    const bool full = need.sessions > 0 || need.positions > 0;
    if (!full) return opened;
    newcomer.waited = waiting_line_.refused(
        client, std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()));
    if (!std::holds_alternative<Refusal>(opened)) return opened;
  }
  make_room(*serving->device, newcomer, need);
  need = {};
  const base::MutexLock lock(mutex_);
  return open_locked(serving, request, client, network, link, need);
}

SessionTable::Opened SessionTable::open_locked(const std::shared_ptr<const Serving>& serving,
                                               const OpenRequest& request,
                                               const proto::PeerId& client, std::uint64_t network,
                                               const std::shared_ptr<ClientLink>& link,
                                               Need& need) {
  const NodeFacts& facts = serving->facts;
  DeviceThread& device = *serving->device;
  if (auto refusal = admit(facts, client)) {
    const auto own = per_peer_.find(client);
    const bool own_limit = own != per_peer_.end() && own->second >= facts.max_sessions_per_peer;
    if (refusal->code == absl::StatusCode::kResourceExhausted && !own_limit) {
      need.sessions = 1;
      need.positions = missing_positions(device, request.max_positions);
    }
    return *refusal;
  }
  const proto::SessionId id = request.session_id;
  if (sessions_.count(id) != 0) {
    return Refusal{.code = absl::StatusCode::kAlreadyExists,
                   .reason = "this session is being opened"};
  }
  const SessionKey key = next_key_++;
  if (auto refusal =
          device.open(key, client, request.span, request.max_positions, request.prefix)) {
    need.positions = missing_positions(device, request.max_positions);
    return *refusal;
  }
  auto session = std::make_shared<Session>(serving, request, client, key, link);
  sessions_.emplace(id, Entry{session, network, false});
  ++per_peer_[client];
  waiting_line_.served(client);
  return session;
}

std::vector<Holding> SessionTable::holdings(DeviceThread& device) const {
  const auto leases = device.leases();
  const auto now = Clock::now();
  std::vector<Holding> result;
  const base::MutexLock lock(mutex_);
  for (const auto& [id, entry] : sessions_) {
    const Session& session = *entry.session;
    const auto lease = leases.find(session.key());
    Holding holding;
    holding.key = session.key();
    holding.peer = session.client();
    holding.network = entry.network;
    if (lease != leases.end()) {
      holding.leased = lease->second.leased;
      holding.filled = lease->second.filled;
      holding.working = lease->second.working;
    }
    const auto last_step = session.last_step();
    holding.stepped = last_step.has_value();
    holding.idle =
        std::chrono::duration_cast<milliseconds>(now - last_step.value_or(session.opened()));
    result.push_back(holding);
  }
  return result;
}

bool SessionTable::make_room(DeviceThread& device, const Newcomer& newcomer, const Need& need) {
  const auto concession = who_gives_way(holdings(device), newcomer, need);
  if (!concession) return false;
  for (const SessionKey key : concession->shrink) device.shrink(key);
  std::vector<std::shared_ptr<Session>> ended;
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [id, entry] : sessions_) {
      const auto& end = concession->end;
      if (std::find(end.begin(), end.end(), entry.session->key()) != end.end()) {
        ended.push_back(entry.session);
      }
    }
  }
  given_way_ += ended.size();
  for (const auto& session : ended) {
    session->fail({.code = absl::StatusCode::kResourceExhausted,
                   .reason =
                       "your session was idle, or beyond your share, while others waited: this "
                       "node gave its place to them; go on through another one",
                   .retry_after_ms = kSessionsRetryMs});
    remove(session);
  }
  return true;
}

void SessionTable::publish(const std::shared_ptr<Session>& session) {
  std::vector<std::shared_ptr<PushWaiter>> ready;
  {
    const base::MutexLock lock(mutex_);
    const auto found = sessions_.find(session->id());
    if (found == sessions_.end() || found->second.session != session) return;
    found->second.published = true;
    const auto [begin, end] = waiting_.equal_range(session->id());
    for (auto it = begin; it != end; ++it) ready.push_back(std::move(it->second.waiter));
    waiting_.erase(begin, end);
  }
  for (const auto& waiter : ready) waiter->session_ready(session);
}

void SessionTable::forget(std::map<proto::SessionId, Entry>::iterator entry) {
  const auto own = per_peer_.find(entry->second.session->client());
  if (--own->second == 0) per_peer_.erase(own);
  sessions_.erase(entry);
}

void SessionTable::remove(const std::shared_ptr<Session>& session) {
  const base::MutexLock lock(mutex_);
  const auto found = sessions_.find(session->id());
  if (found != sessions_.end() && found->second.session == session) forget(found);
}

std::shared_ptr<Session> SessionTable::find_or_wait(const proto::SessionId& id,
                                                    std::shared_ptr<PushWaiter> waiter) {
  {
    const base::MutexLock lock(mutex_);
    const auto found = sessions_.find(id);
    if (found != sessions_.end() && found->second.published) return found->second.session;
    if (waiting_.size() < proto::kMaxSessions && refusing_.empty()) {
      waiting_.emplace(id, Waiting{std::move(waiter), Clock::now() + kPushWait});
      return nullptr;
    }
  }
  waiter->give_up();
  return nullptr;
}

void SessionTable::sweep(Clock::time_point now) {
  std::vector<std::shared_ptr<Session>> idle;
  std::vector<std::shared_ptr<PushWaiter>> late;
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [id, entry] : sessions_) {
      if (now - entry.session->last_activity() >=
          std::chrono::milliseconds(proto::kSessionIdleTimeoutMs)) {
        idle.push_back(entry.session);
      }
    }
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (now < it->second.deadline) {
        ++it;
        continue;
      }
      late.push_back(std::move(it->second.waiter));
      it = waiting_.erase(it);
    }
  }
  for (const auto& session : idle) {
    session->fail({.code = absl::StatusCode::kDeadlineExceeded,
                   .reason = fmt::format("no frame for {} s: the session is closed",
                                         proto::kSessionIdleTimeoutMs / 1000)});
    remove(session);
  }
  for (const auto& waiter : late) waiter->give_up();
}

void SessionTable::refuse_new(std::string reason) {
  const base::MutexLock lock(mutex_);
  refusing_ = std::move(reason);
}

void SessionTable::fail_all(const Refusal& refusal) {
  std::vector<std::shared_ptr<Session>> sessions;
  std::vector<std::shared_ptr<PushWaiter>> waiters;
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [id, entry] : sessions_) sessions.push_back(entry.session);
    for (auto& [id, waiting] : waiting_) waiters.push_back(std::move(waiting.waiter));
    sessions_.clear();
    per_peer_.clear();
    waiting_.clear();
  }
  for (const auto& session : sessions) session->fail(refusal);
  for (const auto& waiter : waiters) waiter->give_up();
}

std::size_t SessionTable::size_on(const Serving& serving) const {
  const base::MutexLock lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(sessions_, [&](const auto& session) {
    return &session.second.session->serving() == &serving;
  }));
}

void SessionTable::fail_on(const Serving& serving, const Refusal& refusal) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [id, entry] : sessions_) {
      if (&entry.session->serving() == &serving) sessions.push_back(entry.session);
    }
  }
  for (const auto& session : sessions) {
    session->fail(refusal);
    remove(session);
  }
}

std::size_t SessionTable::size() const {
  const base::MutexLock lock(mutex_);
  return sessions_.size();
}

}  // namespace shoal::node
