// SPDX-License-Identifier: Apache-2.0
// A peer that only announces: a real signed record in a real DHT, with whatever address the test
// likes. Owns its UDP socket and thread.
#pragma once

#include <memory>

#include "dht/udp_service.h"
#include "net/io_thread.h"
#include "node/device/loaded_model.h"

namespace shoal::node {

class Announcement {
 public:
  // Returns when the record is stored in the swarm of the node at `join`.
  Announcement(const identity::Identity& identity, const LoadedModel& model, proto::Span span,
               const proto::Endpoint& join, const proto::Endpoint& address);
  ~Announcement();
  Announcement(const Announcement&) = delete;
  Announcement& operator=(const Announcement&) = delete;

 private:
  net::IoThread io_;
  std::unique_ptr<dht::UdpService> dht_;
};

}  // namespace shoal::node
