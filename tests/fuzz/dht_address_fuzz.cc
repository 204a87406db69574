// SPDX-License-Identifier: Apache-2.0
// Addresses of contacts, records and observed endpoints as bytes: one spelling each, and every
// function that judges or groups them is total.
#include "base/check.h"
#include "dht/address.h"
#include "dht/diversity.h"
#include "proto/endpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto endpoint = dht::decode_address(bytes);
  if (!endpoint) return 0;
  CHECK(endpoint->is_usable() && endpoint->port != 0);
  CHECK(dht::encode_address(*endpoint) == bytes);
  CHECK(size == (endpoint->is_v4() ? 6u : 18u));
  const auto again = proto::parse_endpoint(proto::to_string(*endpoint));
  CHECK(again.ok() && *again == *endpoint) << proto::to_string(*endpoint);
  CHECK(dht::is_exempt(*endpoint) || !endpoint->is_loopback());
  proto::Endpoint neighbour = *endpoint;
  neighbour.address[15] ^= 1;
  CHECK(dht::narrow_network(*endpoint) == dht::narrow_network(neighbour));
  CHECK(dht::wide_network(*endpoint) == dht::wide_network(neighbour));
  return 0;
}
