// SPDX-License-Identifier: Apache-2.0
// Waiting for a GPU.
#pragma once

#include <cuda_runtime_api.h>

namespace shoal::kernels::cuda {

// An event without times, for wait(); null and an error.
cudaError_t create_event(cudaEvent_t* event);

// Until all is done that was queued before the event was recorded. What takes longer than a short
// while is slept through: the node's other threads want the core.
cudaError_t wait(cudaEvent_t event);

}  // namespace shoal::kernels::cuda
