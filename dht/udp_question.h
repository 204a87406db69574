// SPDX-License-Identifier: Apache-2.0
// One ping of a peer whose key is known, as a question from a socket and port of its own: whether a
// datagram of somebody whom that peer never wrote to gets there, and whether that very peer
// answers. Thread rule: all on the io_context's thread; the callback too, at most once, and never
// after destruction. Owns its socket. docs/reachability.md.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "dht/contact.h"
#include "identity/swarm_key.h"

namespace boost::asio {
class io_context;
}

namespace shoal::dht {

class UdpQuestion {
 public:
  enum class Outcome : std::uint8_t {
    kAnswered,  // by that peer
    kSilent,    // by nobody, within timeout_ms
    kUnsent,    // this machine has no way there
  };
  // Asks again now and then until it is answered: one datagram may be lost.
  UdpQuestion(boost::asio::io_context& io, const std::optional<identity::SwarmKey>& swarm_key,
              const Contact& peer, std::uint32_t timeout_ms, std::function<void(Outcome)> done);
  ~UdpQuestion();
  UdpQuestion(const UdpQuestion&) = delete;
  UdpQuestion& operator=(const UdpQuestion&) = delete;

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::dht
