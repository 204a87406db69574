// SPDX-License-Identifier: Apache-2.0
#include "dht/reply_paths.h"

#include <algorithm>

namespace shoal::dht {

void ReplyPaths::heard(const proto::Endpoint& from, const LocalAddress& to, TimePoint now) {
  if (Path* path = paths_.find(from, now)) {
    *path = {to, 0};
  } else {
    paths_.put(from, {to, 0}, now);
  }
}

const ReplyPaths::LocalAddress* ReplyPaths::towards(const proto::Endpoint& to, TimePoint now) {
  Path* path = paths_.find(to, now);
  if (path == nullptr) return nullptr;
  if (++path->unanswered > kMaxUnanswered) {
    paths_.erase(to);
    return nullptr;
  }
  return &path->local;
}

void MeetingPoints::heard(const proto::Endpoint& from, const LocalAddress& to) {
  const auto has = [](const std::vector<LocalAddress>& list, const LocalAddress& address) {
    return std::find(list.begin(), list.end(), address) != list.end();
  };
  if (all_.size() >= kMax || from.is_loopback() || !has(own_, to) || has(own_, from.address) ||
      has(all_, to)) {
    return;
  }
  all_.push_back(to);
}

}  // namespace shoal::dht
