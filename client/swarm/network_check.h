// SPDX-License-Identifier: Apache-2.0
// Whether this machine has any way to an address, by asking its routing table. Sends nothing.
#pragma once

#include <string>
#include <vector>

#include "proto/address.h"

namespace shoal::client {

// False when the system knows of no way to any of them: then the network of this machine is down.
bool has_way_to_any(const std::vector<proto::Endpoint>& endpoints);

// Of the addresses of one node: "" when there is a way, else "has only IPv6 addresses, ...".
std::string why_out_of_reach(const std::vector<proto::Address>& addresses);

}  // namespace shoal::client
