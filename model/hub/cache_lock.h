// SPDX-License-Identifier: Apache-2.0
// A lock file of the cache, by flock as the hub's own tools lock theirs: of two processes that want
// the same file one fetches it. One thread.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "base/stop_token.h"

namespace shoal::model::hub {

class CacheLock {
 public:
  // Waits as long as another process has it; `on_wait` is told once. CANCELLED when stopped.
  static absl::StatusOr<CacheLock> take(const std::string& path, const base::StopToken& stop,
                                        const std::function<void()>& on_wait);
  CacheLock(CacheLock&& other) noexcept;
  CacheLock& operator=(CacheLock&&) = delete;
  ~CacheLock();

 private:
  explicit CacheLock(int file) : file_(file) {}
  int file_;
};

}  // namespace shoal::model::hub
