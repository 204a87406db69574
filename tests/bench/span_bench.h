// SPDX-License-Identifier: Apache-2.0
// A span of blocks with random weights, loaded and run as a node does, without network or
// scheduler: decode (rows of as many sessions) or prefill (rows of one), beside what the machine
// can do in the same minute. Each pass is timed beside a bare read by the same threads.
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

struct SpanBench {
  Geometry geometry;
  std::int64_t blocks = 1;
  model::WeightChoice weights = model::WeightChoice::kStored;
  kernels::KvDType kv = kernels::KvDType::kF32;
  bool prefill = false;
  std::vector<std::int64_t> rows;      // one point each,
  std::vector<std::int64_t> contexts;  // for each of these: positions before the rows
  kernels::cuda::DeviceChoice device = {};
  int threads = 0;  // of the CPU; 0: one per available core
  int passes = 9;
};

absl::StatusOr<Report> measure_span(const SpanBench& bench);

}  // namespace shoal::bench
