// SPDX-License-Identifier: Apache-2.0
// Calls a function again and again on the `net` thread, so that a session stays alive while its
// user reads. Construct and destroy on any thread but that one; after destruction there is no
// further call.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace shoal::net {
class IoThread;
}

namespace shoal::client {

class Heartbeat {
 public:
  Heartbeat(net::IoThread& io, std::chrono::milliseconds interval, std::function<void()> beat);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;

 private:
  class Impl;
  net::IoThread& io_;
  std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::client
