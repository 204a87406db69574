// SPDX-License-Identifier: Apache-2.0
// Keeps every gRPC reactor of the node alive until gRPC is done with it, bounds how many one peer
// may have, and lets a timer end those that overstay. Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "proto/types.h"

namespace shoal::node {

class Stream {
 public:
  virtual ~Stream() = default;
  // Ends itself when it waits for its peer since too long.
  virtual void sweep(std::chrono::steady_clock::time_point now) = 0;
};

enum class StreamKind { kSession, kPushIn, kPushOut };

class StreamRegistry {
 public:
  // False, and not kept, when the peer has too many of this kind.
  bool add(StreamKind kind, const proto::PeerId& peer, std::shared_ptr<Stream> stream);
  void remove(const Stream* stream);  // may destroy it
  void sweep(std::chrono::steady_clock::time_point now);
  std::size_t size() const;
  bool wait_empty(std::chrono::milliseconds timeout);

 private:
  using Owner = std::pair<StreamKind, proto::PeerId>;
  struct Entry {
    Owner owner;
    std::shared_ptr<Stream> stream;
  };

  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::map<const Stream*, Entry> streams_ ABSL_GUARDED_BY(mutex_);
  std::map<Owner, std::size_t> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::node
