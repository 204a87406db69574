// SPDX-License-Identifier: Apache-2.0
// Finds where the next hop of a session is: reads the records of the block after our span in the
// DHT, keeps them for moments, asks once for many. The thin shell around NextHopBook on the net
// thread. ask(), worked(), failed() and at() on any thread; create and destroy on any but the net
// thread. After destruction nothing is called back.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "node/serve/next_hop_book.h"

namespace shoal::net {
class IoThread;
}

namespace shoal::node {

class NextHops {
 public:
  using Clock = std::chrono::steady_clock;
  // On the net thread: the records of one block of our model, and what this node announces.
  using Find =
      std::function<void(proto::BlockIndex, std::function<void(std::vector<dht::Record>)> done)>;
  using Reach = std::function<DialReach()>;

  struct Found {
    std::vector<proto::Address> addresses;  // empty: nothing that may be dialled
    bool proven = false;                    // we reached the peer at each of them before
  };

  NextHops(net::IoThread& io, Find find, Reach reach);
  ~NextHops();
  NextHops(const NextHops&) = delete;
  NextHops& operator=(const NextHops&) = delete;

  // `answer` runs on the net thread.
  void ask(const NextHopBook::Question& question, std::function<void(Found)> answer);
  void worked(const proto::PeerId& peer, const proto::Address& address);
  void failed(const NextHopBook::Question& question);
  // Runs `then` on the net thread at that time.
  void at(Clock::time_point time, std::function<void()> then);

 private:
  class Impl;
  net::IoThread& io_;
  std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::node
