// SPDX-License-Identifier: Apache-2.0
// Looks after the model's files while they are served. One caller at a time.
#pragma once

#include <chrono>

#include "absl/status/status.h"

namespace shoal::node {

class DeviceThread;
struct LoadedModel;

class FileWatch {
 public:
  // About once a second. An error, one sentence: what we compute from has changed. That the files
  // were replaced, which changes nothing yet, is said in the log, once.
  absl::Status look(DeviceThread& device, const LoadedModel& model,
                    std::chrono::steady_clock::time_point now);

 private:
  bool told_ = false;
  std::chrono::steady_clock::time_point look_at_;
};

}  // namespace shoal::node
