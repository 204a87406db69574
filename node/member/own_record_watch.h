// SPDX-License-Identifier: Apache-2.0
// Watches that we are the only one of our identity: looks for another run of it when we join, and
// whether the swarm's record of us stays ours (node/member/twin.h decides which of two goes on).
// Thread rule: main only; it waits. Its members must outlive it.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "node/member/membership.h"
#include "node/member/twin.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::node {

class OwnRecordWatch {
 public:
  // `run`: of run_of_now().
  OwnRecordWatch(Membership& member, net::ChannelPool& channels, const proto::PeerId& self,
                 std::uint64_t run)
      : member_(member), channels_(channels), self_(self), run_(run) {}
  ~OwnRecordWatch();  // waits for a look-up that was begun, two seconds at most
  OwnRecordWatch(const OwnRecordWatch&) = delete;
  OwnRecordWatch& operator=(const OwnRecordWatch&) = delete;

  // To the directory, a peer of our own identity is silence: an error when it is one.
  absl::Status check_silent(const std::vector<proto::Endpoint>& silent) const;
  // A record of ours in a swarm that we have only just joined is of an earlier run, or of a twin. A
  // restart must not wait for that: it is found out beside what else takes time, until await().
  void begin(std::span<const dht::Record> served);
  absl::Status await();

  // About once a second, of a node that is announced: an error when another run is older, and goes
  // on. `key`: one that our record is stored under.
  absl::Status look(const dht::Key& key);
  // Another run of our identity asked us, from there: it is the one to give way.
  void tell_of_call(const proto::Endpoint& from) const;
  // By a twin that goes on in our place: the record is its own.
  bool replaced() const { return replaced_; }

 private:
  Membership& member_;
  net::ChannelPool& channels_;
  const proto::PeerId self_;
  const std::uint64_t run_;
  std::future<std::optional<Twin>> twin_;
  bool replaced_ = false;
  int times_missing_ = 0;
  std::chrono::steady_clock::time_point look_at_;
};

}  // namespace shoal::node
