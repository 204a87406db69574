// SPDX-License-Identifier: Apache-2.0
// Addresses and spans as people and peers write them. What is accepted must survive being printed
// and read again.
#include "base/check.h"
#include "proto/endpoint.h"
#include "proto/types.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal::proto;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto endpoint = parse_endpoint(text);
  if (endpoint.ok()) {
    const auto again = parse_endpoint(to_string(*endpoint));
    CHECK(again.ok() && *again == *endpoint) << to_string(*endpoint);
  }
  // One judgement, whoever asks for it.
  for (const AddressUse use : {AddressUse::kDial, AddressUse::kAnnounce, AddressUse::kListen}) {
    const bool good = check_address(text, use).ok();
    if (!endpoint.ok()) continue;
    CHECK(good == check_address(*endpoint, use).ok());
    if (endpoint->is_usable()) CHECK(good) << to_string(*endpoint);
    if (use == AddressUse::kDial) CHECK(good == endpoint->is_usable()) << to_string(*endpoint);
  }
  const auto host_port = parse_host_port(text);
  CHECK(host_port.ok() || !endpoint.ok()) << "an endpoint that is no HOST:PORT";
  if (host_port.ok()) CHECK(!host_port->host.empty() && host_port->host.size() <= 253);
  const auto span = parse_span(text);
  if (span.ok()) CHECK(!span->empty() && *parse_span(to_string(*span)) == *span);
  if (const auto bytes = unhex(text)) CHECK(bytes->size() * 2 == size);
  return 0;
}
