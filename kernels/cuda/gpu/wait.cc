// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/wait.h"

#include "base/backoff.h"

namespace shoal::kernels::cuda {

// About twice what it costs to be woken: who sleeps loses at most half as much again.
constexpr std::chrono::microseconds kAwake{100};
constexpr std::chrono::milliseconds kLongestSleep{5};

cudaError_t create_event(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDisableTiming);
}

// No call of CUDA waits for a while only: cudaEventSynchronize waits for a card that hangs for
// ever.
std::optional<cudaError_t> await(cudaEvent_t event, std::chrono::milliseconds patience) {
  base::Backoff pause(kAwake, kLongestSleep);
  for (;;) {
    const cudaError_t state = cudaEventQuery(event);
    if (state != cudaErrorNotReady) return state;
    if (pause.waited() > patience) return std::nullopt;
    pause.wait();
  }
}

}  // namespace shoal::kernels::cuda
