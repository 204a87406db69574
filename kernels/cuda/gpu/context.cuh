// SPDX-License-Identifier: Apache-2.0
// A GPU that is open: its streams, its pinned ring for what comes and goes, its records.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "kernels/cuda/context.h"
#include "kernels/cuda/gpu/records.cuh"
#include "kernels/cuda/gpu/transfer_ring.cuh"

namespace shoal::kernels::cuda {

struct GpuContext : Context {
  int index = 0;
  cudaStream_t stream = nullptr;
  std::string failure;  // the first that happened
  TransferRing ring;
  Records records;

  bool works() const { return failure.empty(); }
  // Notes a failure; whether there was none.
  bool check(cudaError_t error, const char* what);
};

inline GpuContext& gpu(Context& context) { return static_cast<GpuContext&>(context); }

}  // namespace shoal::kernels::cuda
