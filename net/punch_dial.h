// SPDX-License-Identifier: Apache-2.0
// One try of hole punching: connects from a port that other sockets of this process have as well
// (all with SO_REUSEADDR and SO_REUSEPORT) to all addresses at which the other end may be, and says
// what came up. Lives on one io_context's thread. Owns its sockets until they are handed out.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "proto/endpoint.h"

namespace shoal::net {

class PunchDial : public std::enable_shared_from_this<PunchDial> {
 public:
  // A socket that is connected to `to`; whoever is told of it owns it.
  using OnConnected = std::function<void(int socket, const proto::Endpoint& to)>;

  PunchDial(boost::asio::io_context& io, std::uint16_t local_port);

  // `hops`: see PunchTry. `on_over` is called once, when the window is over: even where nothing
  // runs any more, the other end may come to us meanwhile. Not after cancel().
  void start(const std::vector<proto::Endpoint>& targets, int hops,
             std::chrono::milliseconds window, OnConnected on_connected,
             std::function<void()> on_over);
  void cancel();
  // Whether something is out that may still be answered.
  bool is_waiting() const;

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;
  struct Attempt {
    proto::Endpoint to;
    std::unique_ptr<Descriptor> socket;
  };

  void finished(Attempt& attempt);
  void over();

  boost::asio::io_context& io_;
  const std::uint16_t local_port_;
  OnConnected on_connected_;
  std::function<void()> on_over_;
  std::vector<std::shared_ptr<Attempt>> attempts_;
  boost::asio::steady_timer timer_;
};

// A TCP socket of the family of `to`, bound to `local_port` beside others of this process, and
// connecting; -1, with errno, when that cannot be.
int open_punch_socket(std::uint16_t local_port, const proto::Endpoint& to, int hops);

}  // namespace shoal::net
