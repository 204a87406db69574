// SPDX-License-Identifier: Apache-2.0
// The sessions of this node by id, their limits, and pushes that came before their session did (the
// hop before us may be told of it first). Thread-safe. Owns the sessions until they close; no gRPC.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "node/serve/session.h"
#include "node/serve/shares.h"

namespace shoal::node {

// A push stream that waits for its session.
class PushWaiter {
 public:
  virtual ~PushWaiter() = default;
  virtual void session_ready(std::shared_ptr<Session> session) = 0;
  virtual void give_up() = 0;
};

class SessionTable {
 public:
  using Clock = Session::Clock;

  // Admits the session and opens it on the device. It can be found only after publish(). A session
  // of the same id and client is replaced: its stream broke and we have not noticed yet. When the
  // node is full, others may have to give way (node/shares.h); `network` is the client's.
  std::variant<std::shared_ptr<Session>, Refusal> open(
      const std::shared_ptr<const Serving>& serving, const OpenRequest& request,
      const proto::PeerId& client, std::uint64_t network, const std::shared_ptr<ClientLink>& link);
  // Lets the previous hop in: the session's links are complete.
  void publish(const std::shared_ptr<Session>& session);
  void remove(const std::shared_ptr<Session>& session);

  // The session, or null: then `waiter` is kept until the session is published or the deadline
  // passes. Gives up at once when too many wait.
  std::shared_ptr<Session> find_or_wait(const proto::SessionId& id,
                                        std::shared_ptr<PushWaiter> waiter);

  // Fails sessions that were idle for too long, and waiters whose time is over.
  void sweep(Clock::time_point now);
  // No more sessions from now on; the reason is told to whoever asks. Without one: again.
  void refuse_new(std::string reason);
  void fail_all(const Refusal& refusal);
  std::size_t size() const;
  // Those that were opened on it.
  std::size_t size_on(const Serving& serving) const;
  void fail_on(const Serving& serving, const Refusal& refusal);
  std::uint64_t given_way() const { return given_way_; }  // sessions ended for others who waited

 private:
  using Opened = std::variant<std::shared_ptr<Session>, Refusal>;
  struct Entry {
    std::shared_ptr<Session> session;
    std::uint64_t network = 0;
    bool published = false;
  };
  struct Waiting {
    std::shared_ptr<PushWaiter> waiter;
    Clock::time_point deadline;
  };

  std::optional<Refusal> admit(const NodeFacts& facts, const proto::PeerId& client) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Opened open_locked(const std::shared_ptr<const Serving>& serving, const OpenRequest& request,
                     const proto::PeerId& client, std::uint64_t network,
                     const std::shared_ptr<ClientLink>& link, Need& need)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Holding> holdings(DeviceThread& device) const;
  // Whether somebody gave way, so that it is worth trying again.
  bool make_room(DeviceThread& device, const Newcomer& newcomer, const Need& need);
  void forget(std::map<proto::SessionId, Entry>::iterator entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable base::Mutex mutex_;
  std::map<proto::SessionId, Entry> sessions_ ABSL_GUARDED_BY(mutex_);
  std::map<proto::PeerId, std::uint32_t> per_peer_ ABSL_GUARDED_BY(mutex_);
  std::multimap<proto::SessionId, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  WaitingLine waiting_line_ ABSL_GUARDED_BY(mutex_);
  std::string refusing_ ABSL_GUARDED_BY(mutex_);
  SessionKey next_key_ ABSL_GUARDED_BY(mutex_) = 1;
  std::atomic<std::uint64_t> given_way_ = 0;
};

}  // namespace shoal::node
