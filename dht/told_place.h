// SPDX-License-Identifier: Apache-2.0
// Where people are told that a peer is, of all the addresses of its record: what those elsewhere
// can use comes before what only its own house can. Pure functions.
#pragma once

#include <span>
#include <string>

#include "proto/address.h"

namespace shoal::dht {

// A direct address on the Internet; else a relay's; else the first. `addresses` is not empty.
const proto::Address& told_address(std::span<const proto::Address> addresses);

// "192.0.2.1:7000", or "via relay 192.0.2.1:7000"; "-" without addresses.
std::string told_place(std::span<const proto::Address> addresses);
// Behind a noun: "at 192.0.2.1:7000", or "via relay 192.0.2.1:7000".
std::string at_told_place(std::span<const proto::Address> addresses);

}  // namespace shoal::dht
