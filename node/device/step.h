// SPDX-License-Identifier: Apache-2.0
// One step of one session as the device sees it: rows or token ids in, rows or their scores out,
// and who is told. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "proto/scores.h"
#include "proto/types.h"

namespace shoal::node {

// Of the rows that leave the span, what the head makes of them.
struct StepScores {
  proto::ScoresWanted wanted{};
  bool last_only = true;  // of the last row; else of all
  bool any() const { return wanted.top > 0; }
};

struct StepInput {
  std::uint32_t start_position =
      0;  // at most the session's position after the steps before this one
  std::uint32_t rows = 0;
  std::vector<float> x = {};           // [rows, hidden]; empty: `ids` are embedded
  std::vector<std::int32_t> ids = {};  // [rows], in the vocabulary
  StepScores scores{};                 // none: the rows themselves are told
};

struct StepOutput {
  absl::Status status;                     // INTERNAL when a value is not finite; x is then empty
  std::vector<float> x;                    // [rows, hidden]; empty where there are scores
  std::vector<proto::RowScores> scores{};  // of the last row, or [rows]
  std::uint32_t position = 0;              // KV reaches it
  std::uint32_t queue_us = 0;              // waiting to be computed, and then to be told
  std::uint32_t compute_us = 0;
};
using StepDone = std::function<void(StepOutput)>;

// A step that has run, and whom to tell.
struct Completion {
  StepDone done;
  StepOutput output;
  std::uint64_t session = 0;  // SessionKey
  proto::PeerId peer{};
  std::uint32_t rows = 0;
  StepScores scores{};  // wanted, and not computed yet
};

}  // namespace shoal::node
