// SPDX-License-Identifier: Apache-2.0
#include "node/start_watch.h"

#include <signal.h>

#include <utility>

namespace shoal::node {

StartWatch::StartWatch(const base::StopToken& stop, std::function<bool()> unwanted)
    : stop_(stop), unwanted_(std::move(unwanted)), thread_([this] { loop(); }) {}

StartWatch::~StartWatch() {
  done_ = true;
  thread_.join();
}

void StartWatch::loop() {
  while (!done_ && !token_.stopped()) {
    if (stop_.stopped()) {
      token_.stop(stop_.signal());
    } else if (!began_ && unwanted_()) {
      token_.stop(SIGTERM);
    } else {
      std::this_thread::sleep_for(base::kStopPoll);
    }
  }
}

}  // namespace shoal::node
