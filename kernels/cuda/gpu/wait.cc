// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/wait.h"

#include <chrono>
#include <thread>

namespace shoal::kernels::cuda {

// About twice what it costs to be woken: who sleeps loses at most half as much again.
constexpr std::chrono::microseconds kAwake{100};

cudaError_t create_event(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDisableTiming | cudaEventBlockingSync);
}

cudaError_t wait(cudaEvent_t event) {
  const auto asleep_from = std::chrono::steady_clock::now() + kAwake;
  while (std::chrono::steady_clock::now() < asleep_from) {
    const cudaError_t state = cudaEventQuery(event);
    if (state != cudaErrorNotReady) return state;
    std::this_thread::yield();
  }
  return cudaEventSynchronize(event);
}

}  // namespace shoal::kernels::cuda
