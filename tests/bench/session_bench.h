// SPDX-License-Identifier: Apache-2.0
// Sessions that decode together on one node's device, through its real queue and scheduler: tokens
// per second beside one session alone, and how long steps take; with a prompt that is read beside
// them, how much longer.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/cuda/device_choice.h"
#include "kernels/kv_dtype.h"
#include "model/weight_choice.h"
#include "tests/bench/geometry.h"
#include "tests/bench/report.h"

namespace shoal::bench {

struct SessionBench {
  Geometry geometry;
  std::int64_t blocks = 1;
  model::WeightChoice weights = model::WeightChoice::kStored;
  kernels::KvDType kv = kernels::KvDType::kF32;
  std::vector<std::int64_t> sessions;  // one point each
  std::int64_t context = 64;           // positions that each session has at first
  int tokens = 64;                     // steps of each session
  std::int64_t prompt = 0;             // rows of the prompt beside them; 0: none
  kernels::cuda::DeviceChoice device = {};
  int threads = 0;  // of the CPU; 0: one per available core
};

absl::StatusOr<Report> measure_sessions(const SessionBench& bench);

}  // namespace shoal::bench
