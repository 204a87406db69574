// SPDX-License-Identifier: Apache-2.0
// Questions to the kernel's routing socket (rtnetlink), answered at once. Owns one socket; one
// thread at a time.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

namespace shoal::net {

class Netlink {
 public:
  // `groups`: RTMGRP_* of which news come; 0: none.
  explicit Netlink(unsigned groups = 0);
  ~Netlink();
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int descriptor() const { return fd_; }  // stays ours

  // Sends a request whose body is `body` and `attributes`, and calls `each` for all messages of the
  // answer. False when there is no answer, or it is an error.
  using Each = std::function<void(const nlmsghdr& message)>;
  bool ask(int type, int flags, std::string_view body, const Each& each);
  // Takes news off the socket until there are none; whether there were any.
  bool drain();

 private:
  int fd_ = -1;
  unsigned sequence_ = 0;
};

// The body of a message after its fixed part of type T, attribute by attribute.
void each_attribute(const rtattr* first, std::size_t bytes,
                    const std::function<void(const rtattr&)>& each);

}  // namespace shoal::net
