// SPDX-License-Identifier: Apache-2.0
// Between gRPC's status and ours, and from gRPC's words to a sentence that says what to check. Pure
// functions.
#pragma once

#include <grpcpp/support/status.h>

#include <string_view>

#include "absl/status/status.h"

namespace shoal::net {

// `context` (may be empty) names the peer and what was asked, e.g. "node 1a2b3c4d at
// 192.0.2.1:7000"; the message starts with it. A peer that is not who was expected, or of another
// swarm, is UNAUTHENTICATED: trying again will not help. Text that the peer wrote is cut to
// kMaxReasonBytes and stripped of control characters.
absl::Status to_absl(const grpc::Status& status, std::string_view context);

grpc::Status to_grpc(const absl::Status& status);

// UNAVAILABLE, in words that say what to check: a connection that failed with `error` (errno), and
// one that came up and said nothing.
absl::Status connect_failure(int error);
absl::Status mute_failure();

}  // namespace shoal::net
