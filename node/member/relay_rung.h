// SPDX-License-Identifier: Apache-2.0
// The last rung of how a node is reached: through relays. Whoever decides that starts and stops it.
// Thread rule: the net thread, for every call and callback; destroyed there too.
#pragma once

#include <functional>
#include <vector>

#include "proto/address.h"

namespace shoal::node {

class RelayRung {
 public:
  virtual ~RelayRung() = default;
  // Finds relays and keeps them, until stop(). `on_changed`: addresses() is another now.
  // Idempotent.
  virtual void start(std::function<void()> on_changed) = 0;
  // Lets its relays go. Connections that came through them go on.
  virtual void stop() = 0;
  // At which a relay takes callers for us now: the best first, empty before the first one has us.
  virtual std::vector<proto::Address> addresses() const = 0;
  // Where relays see the connections that leave from our own port come from.
  virtual std::vector<proto::Endpoint> anchors() const { return {}; }
};

}  // namespace shoal::node
