// SPDX-License-Identifier: Apache-2.0
// Where the streams of this node find what they share: opens sessions and connects them to their
// next hops, keeps them by id, and counts streams and bytes. Refuses every session until serve().
// Thread-safe. Owns the session table, the streams and the outbox budget.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "node/serve/outbox_budget.h"
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
  // What is served; all must outlive the last stream.
  struct Serving {
    const NodeFacts& facts;
    DeviceThread& device;
    NextHops& next_hops;
    ServiceBook* book = nullptr;  // what sessions did; null: nobody keeps account
  };

  explicit SessionDesk(net::ChannelPool& channels) : channels_(channels) {}

  void serve(const Serving& serving);  // once
  const Serving* serving() const { return serving_ready_.load() ? &*serving_ : nullptr; }

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
  void connect_next(const Serving& serving, const OpenRequest& request, const net::Caller& client,
                    const std::shared_ptr<Session>& session);
  // Calls `then` when the way to the peer is what it will be, at the limit at the latest.
  void when_direct(NextHops& hops, const proto::PeerId& peer,
                   std::chrono::steady_clock::time_point limit, const std::function<void()>& then);

  net::ChannelPool& channels_;
  std::optional<Serving> serving_;
  std::atomic<bool> serving_ready_ = false;
  OutboxBudget outbox_;
  SessionTable sessions_;
  StreamRegistry registry_;
};

}  // namespace shoal::node
