// SPDX-License-Identifier: Apache-2.0
// The DHT for threads that may wait: its UDP service on the `net` thread, which it owns. Methods
// may be called from any thread but the net thread. Every wait has a deadline, and ends with
// CANCELLED when the caller's token is stopped.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/awaited.h"
#include "base/stop_token.h"
#include "dht/udp_service.h"
#include "net/io_thread.h"

namespace shoal::net {

class Directory {
 public:
  // `io` must outlive this.
  Directory(IoThread& io, std::unique_ptr<dht::UdpService> dht);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  dht::UdpService& dht() { return *dht_; }  // on the net thread
  const proto::Endpoint& endpoint() const { return endpoint_; }
  const identity::SwarmId& swarm_id() const { return swarm_id_; }

  // UNAVAILABLE names the addresses when none of them answers within timeout_ms.
  absl::Status bootstrap(const std::vector<proto::Endpoint>& peers, std::uint32_t timeout_ms,
                         const base::StopToken& stop);
  // The same without waiting for what comes of it.
  void begin_bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms);

  // Peers of the last run that nobody has asked yet (UdpServiceOptions::hold_table).
  bool holds_table();
  std::size_t recall();
  bool is_answered_at_joined();

  // A lookup under way, so that several may run at once.
  struct Answer {
    dht::UdpService::Found found;
    std::chrono::steady_clock::time_point at;
  };
  struct Lookup {
    base::Awaited<Answer> answer;
    std::chrono::steady_clock::time_point begun;
  };
  Lookup begin_look_up(const dht::Key& key);
  // DEADLINE_EXCEEDED when it takes longer than timeout_ms from its beginning.
  static absl::StatusOr<Answer> await(Lookup lookup, std::uint32_t timeout_ms,
                                      const base::StopToken& stop);
  absl::StatusOr<std::vector<dht::Record>> find(const dht::Key& key, std::uint32_t timeout_ms,
                                                const base::StopToken& stop);

  // Nothing when the net thread does not answer in time.
  std::optional<dht::DhtStats> stats(std::uint32_t timeout_ms, const base::StopToken& stop);

  // Runs `work` on the net thread and waits until it calls back.
  absl::Status await(std::uint32_t timeout_ms, std::function<void(std::function<void()> done)> work,
                     const base::StopToken& stop);

 private:
  IoThread& io_;
  std::unique_ptr<dht::UdpService> dht_;  // used and destroyed on the net thread
  proto::Endpoint endpoint_;
  identity::SwarmId swarm_id_;
};

}  // namespace shoal::net
