// SPDX-License-Identifier: Apache-2.0
// How people are told of a node: its short name, and where it is for those who are elsewhere
// (dht/told_place.h). Pure.
#pragma once

#include <span>
#include <string>

#include "proto/address.h"
#include "proto/types.h"

namespace shoal::client {

// "node 1a2b3c4d at 192.0.2.1:7000", or "node 1a2b3c4d via relay 192.0.2.1:7000".
std::string name_of_node(const proto::PeerId& peer, std::span<const proto::Address> addresses);

}  // namespace shoal::client
