// SPDX-License-Identifier: Apache-2.0
// Counts every byte that waits to be sent, in our queues and in a write that gRPC has not finished:
// per stream, per client whose session it belongs to, and in all. When there is too much it names
// the stream that must end: of the client that has most waiting, the one that has most.
// Thread-safe; calls nobody. Whoever adds ends the stream that is named, with no lock of its own
// held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::node {

// A stream as the budget knows it.
class Outlet {
 public:
  virtual ~Outlet() = default;
  // Drops what waits and ends the stream, saying why.
  virtual void overflow(const std::string& reason) = 0;
};

struct OutboxLimits {
  std::size_t total = proto::kMaxOutboxBytes;
  std::size_t owner = proto::kMaxOutboxBytesPerPeer;
  std::size_t stream = proto::kMaxOutboxBytesPerStream;
};

struct OutboxStats {
  std::size_t bytes = 0;
  std::size_t limit = 0;
  std::uint64_t ended = 0;  // streams that had to end
};

class OutboxBudget {
 public:
  // Of one stream; gives its bytes back when it is destroyed. Thread-safe.
  class Account {
   public:
    Account(OutboxBudget& budget, const proto::PeerId& owner) : budget_(budget), owner_(owner) {}
    ~Account();
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    // Who is to be ended when this account is named.
    void set_outlet(std::weak_ptr<Outlet> outlet);
    // The stream that must end for it, often this one; null while there is room.
    [[nodiscard]] std::shared_ptr<Outlet> add(std::size_t bytes);
    // Counts only: for the one frame with which a stream begins or ends.
    void add_unjudged(std::size_t bytes);
    void release(std::size_t bytes);
    std::size_t bytes() const;

   private:
    friend class OutboxBudget;
    OutboxBudget& budget_;
    const proto::PeerId owner_;
    // Guarded by the budget's mutex, as far as clang can be told.
    std::weak_ptr<Outlet> outlet_;
    std::size_t bytes_ = 0;
    bool ending_ = false;
  };

  explicit OutboxBudget(OutboxLimits limits = {}) : limits_(limits) {}

  OutboxStats stats() const;

 private:
  struct Owner {
    std::size_t bytes = 0;  // of accounts that are not ending
    std::set<Account*> accounts;
  };

  void count(Account& account, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Account* too_much(Account& account) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Account* largest(const Owner& owner);
  void take(Account& account, std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const OutboxLimits limits_;
  mutable base::Mutex mutex_;
  std::map<proto::PeerId, Owner> owners_ ABSL_GUARDED_BY(mutex_);
  std::size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;    // all
  std::size_t lasting_ ABSL_GUARDED_BY(mutex_) = 0;  // of accounts that are not ending
  std::uint64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace shoal::node
