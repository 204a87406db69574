// SPDX-License-Identifier: Apache-2.0
// Endpoints of contacts and addresses of records as bytes: one spelling each, and every function
// that judges or groups them is total. The same bytes are read as either.
#include "base/check.h"
#include "dht/diversity.h"
#include "proto/address.h"
#include "proto/limits.h"

namespace {

using namespace shoal;

void look_at(const proto::Endpoint& endpoint) {
  CHECK(endpoint.is_usable() && endpoint.port != 0);
  const auto again = proto::parse_endpoint(proto::to_string(endpoint));
  CHECK(again.ok() && *again == endpoint) << proto::to_string(endpoint);
  CHECK(dht::is_exempt(endpoint) || !endpoint.is_loopback());
  proto::Endpoint neighbour = endpoint;
  neighbour.address[15] ^= 1;
  CHECK(dht::narrow_network(endpoint) == dht::narrow_network(neighbour));
  CHECK(dht::wide_network(endpoint) == dht::wide_network(neighbour));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto endpoint = proto::decode_endpoint(bytes)) {
    look_at(*endpoint);
    CHECK(proto::encode_endpoint(*endpoint) == bytes);
    CHECK(size == (endpoint->is_v4() ? 6u : 18u));
  }
  if (const auto address = proto::decode_address(bytes)) {
    look_at(address->endpoint);
    CHECK(proto::is_known_address_kind(bytes));
    CHECK(proto::encode_address(*address) == bytes);
    CHECK(size <= proto::kMaxAddressBytes);
    CHECK(proto::direct_endpoints({&*address, 1}).empty() != address->is_direct());
  }
  return 0;
}
