// SPDX-License-Identifier: Apache-2.0
// Why a hop ends a session or does not open one: a status, with what the client needs to act on it.
// Plain value; the wire's form of it is made in node/serve/replies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "proto/types.h"

namespace shoal::node {

// Without the file's name: it is nobody's business where we keep it.
inline constexpr const char* kFilesChanged = "this node's model files changed while it served them";

struct Refusal {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string reason;
  std::uint32_t retry_after_ms = 0;  // 0: the same request will not do better later
  std::optional<proto::PeerId> at_fault = std::nullopt;  // the next hop, when a push failed
  std::uint64_t epoch = 0;
  std::uint64_t step_id = 0;  // of the step that was refused, if one was
};

}  // namespace shoal::node
