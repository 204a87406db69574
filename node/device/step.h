// SPDX-License-Identifier: Apache-2.0
// One step of one session as the device sees it: rows in, rows out, and who is told. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"

namespace shoal::node {

struct StepInput {
  std::uint32_t start_position =
      0;  // at most the session's position after the steps before this one
  std::uint32_t rows = 0;
  std::vector<float> x;  // [rows, hidden]
};

struct StepOutput {
  absl::Status status;         // INTERNAL when a value is not finite; x is then empty
  std::vector<float> x;        // [rows, hidden]
  std::uint32_t position = 0;  // KV reaches it
  std::uint32_t queue_us = 0;  // waiting to be computed, and then to be told
  std::uint32_t compute_us = 0;
};
using StepDone = std::function<void(StepOutput)>;

// A step that has run, and whom to tell.
struct Completion {
  StepDone done;
  StepOutput output;
};

}  // namespace shoal::node
