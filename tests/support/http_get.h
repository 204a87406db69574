// SPDX-License-Identifier: Apache-2.0
// One GET over HTTP/1.0 to a server of a test; blocks up to ten seconds.
#pragma once

#include <string>

#include "proto/endpoint.h"

namespace shoal::tests {

// The whole response, head and body; empty when there is none.
std::string http_get(const proto::Endpoint& server, const std::string& path);

}  // namespace shoal::tests
