// SPDX-License-Identifier: Apache-2.0
// A step's tables as a device sees them: addresses of its memory, in a plain struct that kernels
// take. Made by StepPlan (step_plan.h).
#pragma once

#include <cstdint>

namespace shoal::kernels {

struct StepHeader {
  std::int32_t rows = 0;
  std::int32_t blocks = 0;  // of rows
  std::int32_t unused[2] = {};
};

// Consecutive rows of one session, at most kRowsOfBlock: what attention reads keys and values for.
inline constexpr std::int64_t kRowsOfBlock = 4;
struct RowBlock {
  std::int32_t row = 0, rows = 0;
};

// A device may have recorded a step with more rows than this one has: who reads these tables asks
// the header how many there are.
struct StepTables {
  const StepHeader* header = nullptr;
  const float* cosines = nullptr;            // [rows, half]
  const float* sines = nullptr;              // [rows, half]
  const std::int32_t* positions = nullptr;   // [rows]
  const std::int32_t* page_begin = nullptr;  // [rows]: where in `pages` the row's session begins
  const RowBlock* blocks = nullptr;
  const std::int32_t* pages = nullptr;
  std::int64_t half = 0;
  // For grids: no step that is run with these tables has more.
  std::int64_t most_rows = 0, most_blocks = 0, most_positions = 0;
};

}  // namespace shoal::kernels
