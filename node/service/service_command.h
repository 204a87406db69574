// SPDX-License-Identifier: Apache-2.0
// `shoal-node service`: writes and removes the files of a service of systemd, and starts and ends
// it. As root the machine's, else the user's own. Thread rule: main only; it runs systemctl and
// waits for it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "node/service/service_request.h"

namespace shoal::node {

struct ServiceReport {
  std::string text;  // lines of what was done or is so
  bool good = true;  // status: it is there and runs
};

// Every error is one sentence that names the way out; what was done before it stays.
absl::StatusOr<ServiceReport> run_service(const ServiceRequest& request);

}  // namespace shoal::node
