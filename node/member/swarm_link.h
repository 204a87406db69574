// SPDX-License-Identifier: Apache-2.0
// The DHT for a thread that may wait: main, while it joins and leaves. Owns the net thread's UDP
// service. Every wait has a deadline, and ends with CANCELLED when the caller's flag says so.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "dht/udp_service.h"
#include "net/io_thread.h"

namespace shoal::node {

class SwarmLink {
 public:
  // `cancelled` may be null; it must last until it is replaced, and `io` must outlive this.
  SwarmLink(net::IoThread& io, std::unique_ptr<dht::UdpService> dht,
            const std::atomic<bool>* cancelled);
  ~SwarmLink();  // on any thread but the net thread
  SwarmLink(const SwarmLink&) = delete;
  SwarmLink& operator=(const SwarmLink&) = delete;

  void set_cancelled(const std::atomic<bool>* cancelled) { cancelled_ = cancelled; }
  dht::UdpService& dht() { return *dht_; }  // on the net thread
  const proto::Endpoint& endpoint() const { return endpoint_; }
  const identity::SwarmId& swarm_id() const { return swarm_id_; }

  absl::Status bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms);
  // The same without waiting for what comes of it.
  void begin_bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms);
  absl::StatusOr<std::vector<dht::Record>> find(const dht::Key& key);
  // Runs `work` on the net thread and waits until it calls back; DEADLINE_EXCEEDED after
  // timeout_ms.
  absl::Status await(std::uint32_t timeout_ms,
                     std::function<void(std::function<void()> done)> work) const;
  // Sleeps; CANCELLED as above.
  absl::Status pause(std::uint32_t timeout_ms) const;

 private:
  net::IoThread& io_;
  std::unique_ptr<dht::UdpService> dht_;
  const std::atomic<bool>* cancelled_;
  proto::Endpoint endpoint_;
  identity::SwarmId swarm_id_;
};

}  // namespace shoal::node
