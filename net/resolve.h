// SPDX-License-Identifier: Apache-2.0
// Host names to endpoints. Blocks up to the system resolver's own time-out; call from main only.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "proto/endpoint.h"

namespace shoal::net {

// "HOST:PORT" to at least one endpoint that can serve `use`; the error names the host and what to
// check.
absl::StatusOr<std::vector<proto::Endpoint>> resolve(std::string_view host_port,
                                                     proto::AddressUse use);

}  // namespace shoal::net
