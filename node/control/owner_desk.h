// SPDX-License-Identifier: Apache-2.0
// Where what a node's owner asks over the local socket meets what the node does: keeps the wish,
// and the status that the node showed last. Thread-safe; calls nobody but the account. The answer
// to resume waits for the node. A run of the program has one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/mutex.h"
#include "node/account/account.h"
#include "node/control/control_request.h"
#include "node/control/node_status.h"
#include "node/control/owner_wish.h"

namespace shoal::node {

class OwnerDesk {
 public:
  using UnixClock = std::function<std::int64_t()>;  // seconds

  // `account` must outlive it.
  OwnerDesk(OwnerWish wish, const Account& account, UnixClock clock)
      : account_(account), clock_(std::move(clock)), wish_(std::move(wish)) {}

  void show(NodeStatus status);
  // Nobody waits for the node any more.
  void close();
  Wish wish();
  void set_hours(Hours hours, bool free_by_hours);
  // One line of JSON. A node that is paused and shall resume has said so to its swarm by then,
  // unless that takes longer than a person waits.
  std::string answer(const ControlRequest& request);

 private:
  const Account& account_;
  const UnixClock clock_;
  base::Mutex mutex_;
  OwnerWish wish_ ABSL_GUARDED_BY(mutex_);
  NodeStatus status_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  base::CondVar shown_;
};

}  // namespace shoal::node
