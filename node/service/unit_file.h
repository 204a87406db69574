// SPDX-License-Identifier: Apache-2.0
// The files of a service: the unit of systemd and the node's configuration, as texts. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "node/service/service_request.h"

namespace shoal::node {

enum class ServiceScope { kSystem, kUser };

inline constexpr const char* kUnitName = "shoal-node.service";

// system.service or user.service, with @PROGRAM@ for the program.
std::string_view unit_template(ServiceScope scope);

// Begins with a line by which is_written_by_us() knows it again. INVALID_ARGUMENT for a path that
// systemd would read as something else.
absl::StatusOr<std::string> unit_text(ServiceScope scope, const std::string& program);
bool is_written_by_us(std::string_view unit);

// The options as a configuration file. Files and folders are made absolute by `absolute`: a service
// runs elsewhere. FAILED_PRECONDITION names an option that a service cannot have.
absl::StatusOr<std::string> configuration_text(
    const std::vector<ServiceRequest::TypedOption>& options,
    std::string (*absolute)(const std::string& type, const std::string& path));

}  // namespace shoal::node
