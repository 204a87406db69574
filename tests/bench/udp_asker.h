// SPDX-License-Identifier: Apache-2.0
// Keeps a window of requests in flight to one peer, as its own participant with the protocol's
// sessions and questions, on a socket of its own. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "dht/session.h"
#include "proto/dht.pb.h"

namespace shoal::bench {

class UdpAsker {
 public:
  enum class Way {
    kSession,
    kQuestion,
    kStranger
  };  // stranger: each with an exchange key of its own
  UdpAsker(const dht::Contact& to, Way way);
  ~UdpAsker();
  UdpAsker(const UdpAsker&) = delete;
  UdpAsker& operator=(const UdpAsker&) = delete;

  struct Result {
    std::uint64_t answers = 0;
    std::uint64_t answer_bytes = 0;  // datagrams
    std::uint64_t given_up = 0;      // without answer for a while
  };
  // Asks for `seconds`; the first answers, with all handshakes, come before that and do not count.
  Result run(bool find, double seconds, int window);

 private:
  static dht::SessionConfig config_of(Way way);
  void ask(bool find);
  void transmit();
  // How many answers came.
  std::uint64_t receive(std::uint64_t& bytes);

  const dht::Contact to_;
  const Way way_;
  identity::Random random_;
  identity::Identity self_;
  dht::Sessions sessions_;
  int socket_ = -1;
  std::uint64_t next_id_ = 1;
};

}  // namespace shoal::bench
