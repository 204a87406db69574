// SPDX-License-Identifier: Apache-2.0
// Opens the DHT's UDP socket and translates endpoints between proto/ and Asio. For the shell only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include "absl/status/statusor.h"
#include "proto/endpoint.h"

namespace shoal::dht {

proto::Endpoint from_asio(const boost::asio::ip::udp::endpoint& endpoint);
// `v6` is the family of the socket it is for; IPv4 addresses are mapped when the socket is IPv6.
boost::asio::ip::udp::endpoint to_asio(const proto::Endpoint& endpoint, bool v6);

// Bound, non-blocking, never fragmenting. ALREADY_EXISTS when the port is taken; messages name the
// way out.
absl::StatusOr<boost::asio::ip::udp::socket> open_udp_socket(boost::asio::io_context& io,
                                                             const proto::Endpoint& listen);

}  // namespace shoal::dht
