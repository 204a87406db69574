// SPDX-License-Identifier: Apache-2.0
// A TCP socket that listens. Any thread.
#pragma once

#include "absl/status/statusor.h"
#include "proto/endpoint.h"

namespace shoal::net {

struct ListeningSocket {
  int fd = -1;  // non-blocking; the caller's to close
  proto::Endpoint endpoint;
};

// [::] takes IPv4 too. ALREADY_EXISTS when the port is taken; the message names the address and the
// way out.
absl::StatusOr<ListeningSocket> listen_on(const proto::Endpoint& listen);

}  // namespace shoal::net
