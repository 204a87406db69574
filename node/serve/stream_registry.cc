// SPDX-License-Identifier: Apache-2.0
#include "node/serve/stream_registry.h"

#include <vector>

#include "proto/limits.h"

namespace shoal::node {
namespace {

// Twice the sessions that a peer may have: streams that have not opened or are ending count too. A
// hop before us may push for sessions of many clients.
std::size_t limit_of(StreamKind kind) {
  return kind == StreamKind::kSession ? 2 * proto::kMaxSessionsPerPeer : 2 * proto::kMaxSessions;
}

}  // namespace

bool StreamRegistry::add(StreamKind kind, const proto::PeerId& peer,
                         std::shared_ptr<Stream> stream) {
  const base::MutexLock lock(mutex_);
  const Owner owner{kind, peer};
  std::size_t& count = counts_[owner];
  if (count >= limit_of(kind)) return false;
  ++count;
  const Stream* key = stream.get();
  streams_.emplace(key, Entry{owner, std::move(stream)});
  return true;
}

void StreamRegistry::remove(const Stream* stream) {
  std::shared_ptr<Stream> last;  // destroyed without the lock
  {
    const base::MutexLock lock(mutex_);
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return;
    const auto count = counts_.find(found->second.owner);
    if (--count->second == 0) counts_.erase(count);
    last = std::move(found->second.stream);
    streams_.erase(found);
    if (streams_.empty())
      changed_.notify_all();  // under the lock: a waiter may destroy us right after
  }
}

void StreamRegistry::sweep(std::chrono::steady_clock::time_point now) {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [key, entry] : streams_) streams.push_back(entry.stream);
  }
  for (const auto& stream : streams) stream->sweep(now);
}

std::size_t StreamRegistry::size() const {
  const base::MutexLock lock(mutex_);
  return streams_.size();
}

bool StreamRegistry::wait_empty(std::chrono::milliseconds timeout) {
  const base::MutexLock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!streams_.empty() && changed_.wait_until(mutex_, deadline)) continue;
  return streams_.empty();
}

}  // namespace shoal::node
