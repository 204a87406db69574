// SPDX-License-Identifier: Apache-2.0
// Where the streams of this node find what they share: opens sessions and connects them to their
// next hops, keeps them by id, and counts streams and bytes. Refuses every session until serve().
// Thread-safe. Owns the session table, the streams and the outbox budget.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "base/mutex.h"
#include "node/serve/outbox_budget.h"
#include "node/serve/serving.h"
#include "node/serve/session_table.h"
#include "node/serve/stream_registry.h"

namespace shoal::net {
class ChannelPool;
struct Caller;
}  // namespace shoal::net

namespace shoal::node {

class NextHops;
class ServiceBook;

class SessionDesk {
 public:
  explicit SessionDesk(net::ChannelPool& channels) : channels_(channels) {}

  // Once, before the first session; must outlive the last stream. `book`: what sessions did; null:
  // nobody keeps account.
  void start(NextHops& next_hops, ServiceBook* book) {
    next_hops_ = &next_hops;
    book_ = book;
  }
  // What new sessions are opened on; null: on nothing for now. The earlier one serves its own on.
  void serve(std::shared_ptr<const Serving> serving);
  std::shared_ptr<const Serving> serving() const;

  // Opens a session and welcomes the client over `link`. Nobody finds it before publish(): the
  // session's links are complete then.
  std::variant<std::shared_ptr<Session>, Refusal> open(const wire::Open& open,
                                                       const net::Caller& client,
                                                       const std::shared_ptr<ClientLink>& link);
  void publish(const std::shared_ptr<Session>& session) { sessions_.publish(session); }
  void remove(const std::shared_ptr<Session>& session) { sessions_.remove(session); }
  // As SessionTable's.
  std::shared_ptr<Session> find_or_wait(const proto::SessionId& id,
                                        std::shared_ptr<PushWaiter> waiter) {
    return sessions_.find_or_wait(id, std::move(waiter));
  }

  // Once a second.
  void sweep(std::chrono::steady_clock::time_point now);

  SessionTable& sessions() { return sessions_; }
  const SessionTable& sessions() const { return sessions_; }
  StreamRegistry& registry() { return registry_; }
  const StreamRegistry& registry() const { return registry_; }
  OutboxBudget& outbox() { return outbox_; }
  const OutboxBudget& outbox() const { return outbox_; }

 private:
  void connect_next(const OpenRequest& request, const net::Caller& client,
                    const std::shared_ptr<Session>& session);
  // Calls `then` when the way to the peer is what it will be, at the limit at the latest.
  void when_direct(NextHops& hops, const proto::PeerId& peer,
                   std::chrono::steady_clock::time_point limit, const std::function<void()>& then);

  net::ChannelPool& channels_;
  std::atomic<NextHops*> next_hops_ = nullptr;
  std::atomic<ServiceBook*> book_ = nullptr;
  mutable base::Mutex mutex_;  // a leaf
  std::shared_ptr<const Serving> serving_ ABSL_GUARDED_BY(mutex_);
  OutboxBudget outbox_;
  SessionTable sessions_;
  StreamRegistry registry_;
};

}  // namespace shoal::node
