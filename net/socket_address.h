// SPDX-License-Identifier: Apache-2.0
// Endpoints as the system's sockets take and give them. Pure functions.
#pragma once

#include <sys/socket.h>

#include "proto/endpoint.h"

namespace shoal::net {

// The size of what it wrote.
socklen_t to_system(const proto::Endpoint& endpoint, sockaddr_storage& storage);

// All zeros for another family.
proto::Endpoint endpoint_of(const sockaddr& address);
inline proto::Endpoint endpoint_of(const sockaddr_storage& address) {
  return endpoint_of(reinterpret_cast<const sockaddr&>(address));
}

}  // namespace shoal::net
