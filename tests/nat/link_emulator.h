// SPDX-License-Identifier: Apache-2.0
// Links with delay, rate and loss between networks: a TUN device at each end and one thread that
// carries the packets, so that TCP, UDP and routers behave as over a real line. The devices go when
// this object or this process does. join() from any one thread; the packets are the thread's alone.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "tests/nat/link_queue.h"
#include "tests/nat/network.h"

namespace shoal::tests {

class LinkEmulator {
 public:
  LinkEmulator();
  ~LinkEmulator();
  LinkEmulator(const LinkEmulator&) = delete;
  LinkEmulator& operator=(const LinkEmulator&) = delete;

  // A link, up at both ends: `name` here and `other_name` there. Both directions are alike.
  void join(const Network& here, const std::string& name, const Network& there,
            const std::string& other_name, const LinkOptions& options);

 private:
  struct End {
    int from;  // descriptors of TUN devices
    int to;
    LinkQueue queue;
  };

  void carry();
  void wake() const;

  const int epoll_;
  const int timer_;
  const int bell_;  // eventfd: there is a new link, or it is over
  std::atomic<bool> over_{false};
  base::Mutex mutex_;
  std::vector<std::unique_ptr<End>> fresh_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses all of them
};

}  // namespace shoal::tests
