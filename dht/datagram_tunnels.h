// SPDX-License-Identifier: Apache-2.0
// The way of datagrams where UDP does not pass: a connection to the peer that they are for, on the
// TCP port of the same number. Which connections those are, this room does not know. Thread rule:
// all on the io thread of the service that it is for; what arrives comes there too, and never
// within send().
#pragma once

#include <functional>
#include <string_view>

#include "proto/endpoint.h"

namespace shoal::dht {

class DatagramTunnels {
 public:
  // `from`: the contact that send() named, or a tunnel_endpoint() of whoever came to us.
  using Receive = std::function<void(std::string_view datagram, const proto::Endpoint& from)>;

  virtual ~DatagramTunnels() = default;
  // Once, before the rest.
  virtual void start(Receive receive) = 0;
  // A connection is made when there is none, but not to a tunnel_endpoint(). What cannot go is
  // lost, as a datagram may be.
  virtual void send(std::string_view datagram, const proto::Endpoint& to) = 0;
  // Whether a connection is up.
  virtual bool is_up(const proto::Endpoint& to) const = 0;
  // Ends all that we have made; those who came to us stay.
  virtual void hang_up() = 0;
  // Ends all; nothing arrives any more.
  virtual void close() = 0;
};

}  // namespace shoal::dht
