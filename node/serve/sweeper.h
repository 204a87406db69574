// SPDX-License-Identifier: Apache-2.0
// The timer that ends what overstays: idle sessions, streams that never open, memory that nobody
// needs any more. Runs on the net thread, once a second. Create and destroy on any thread but the
// net thread.
#pragma once

#include <memory>

namespace shoal::net {
class IoThread;
}

namespace shoal::node {

class SpanService;

class Sweeper {
 public:
  Sweeper(net::IoThread& io, SpanService& service);
  ~Sweeper();
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

 private:
  class Impl;
  net::IoThread& io_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::node
