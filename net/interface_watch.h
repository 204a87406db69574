// SPDX-License-Identifier: Apache-2.0
// Tells when this machine's network may have changed: some moments after the kernel's news of
// addresses, interfaces and routes (which come in bursts), and now and then without any, should
// news be lost. Thread rule: all on the io_context's thread, the callback too; destroy it there, or
// when the context has stopped. Owns a netlink socket.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "net/netlink.h"

namespace shoal::net {

class InterfaceWatch {
 public:
  // `look` is called often, and cheap when nothing changed.
  InterfaceWatch(boost::asio::io_context& io, std::function<void()> look);
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;

 private:
  void listen();
  void arm(std::chrono::milliseconds wait);

  const std::function<void()> look_;
  Netlink netlink_;
  boost::asio::posix::stream_descriptor news_;  // a second descriptor of the same socket
  boost::asio::steady_timer timer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace shoal::net
