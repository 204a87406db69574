// SPDX-License-Identifier: Apache-2.0
#include "net/interface_watch.h"

#include <fcntl.h>

namespace shoal::net {
namespace {

// A new address comes with a link, routes and, of IPv6, a check that it is free.
constexpr std::chrono::milliseconds kSettle{1'000};
// The second line of defence, within which everything must be noticed.
constexpr std::chrono::milliseconds kPoll{10'000};
constexpr unsigned kGroups =
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

}  // namespace

InterfaceWatch::InterfaceWatch(boost::asio::io_context& io, std::function<void()> look)
    : look_(std::move(look)), netlink_(kGroups), news_(io), timer_(io) {
  const int descriptor =
      netlink_.is_open() ? ::fcntl(netlink_.descriptor(), F_DUPFD_CLOEXEC, 0) : -1;
  if (descriptor >= 0) {
    boost::system::error_code error;
    news_.assign(descriptor, error);
    if (!error) listen();
  }
  arm(kPoll);
}

void InterfaceWatch::listen() {
  news_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
                     if (error || alive.expired()) return;
                     // A stream of news without end must not put the look off for ever: the first
                     // one counts.
                     const auto soon = std::chrono::steady_clock::now() + kSettle;
                     if (netlink_.drain() && timer_.expiry() > soon) arm(kSettle);
                     listen();
                   });
}

void InterfaceWatch::arm(std::chrono::milliseconds wait) {
  timer_.expires_after(wait);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (error || alive.expired()) return;
    arm(kPoll);
    look_();
  });
}

}  // namespace shoal::net
