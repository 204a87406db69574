// SPDX-License-Identifier: Apache-2.0
// How many answers of one kind are under way, in all and to one peer: each waits in memory until it
// is read. Thread-safe; remembers only peers that have one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "base/mutex.h"
#include "proto/types.h"

namespace shoal::node {

class CallLimit {
 public:
  CallLimit(std::uint32_t most, std::uint32_t most_of_peer)
      : most_(most), most_of_peer_(most_of_peer) {}

  // False: not now. Each true is followed by one end().
  [[nodiscard]] bool begin(const proto::PeerId& peer) {
    const base::MutexLock lock(mutex_);
    const auto found = calls_.find(peer);
    const std::uint32_t of_peer = found == calls_.end() ? 0 : found->second;
    if (all_ >= most_ || of_peer >= most_of_peer_) return false;
    ++all_;
    ++calls_[peer];
    return true;
  }
  void end(const proto::PeerId& peer) {
    const base::MutexLock lock(mutex_);
    --all_;
    if (--calls_[peer] == 0) calls_.erase(peer);
  }
  std::size_t peers() const {
    const base::MutexLock lock(mutex_);
    return calls_.size();
  }

 private:
  const std::uint32_t most_, most_of_peer_;
  mutable base::Mutex mutex_;
  std::uint32_t all_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<proto::PeerId, std::uint32_t> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::node
