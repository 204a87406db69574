// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/wait.h"

#include <algorithm>
#include <thread>

namespace shoal::kernels::cuda {

// About twice what it costs to be woken: who sleeps loses at most half as much again.
constexpr std::chrono::microseconds kAwake{100};
// Slept each time, of what was waited already: so much later than it could it is noticed at most.
constexpr int kSleptPart = 8;
constexpr std::chrono::milliseconds kLongestSleep{5};

cudaError_t create_event(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDisableTiming);
}

// No call of CUDA waits for a while only: cudaEventSynchronize waits for a card that hangs for ever.
std::optional<cudaError_t> await(cudaEvent_t event, std::chrono::milliseconds patience) {
  const auto began = Clock::now();
  for (;;) {
    const cudaError_t state = cudaEventQuery(event);
    if (state != cudaErrorNotReady) return state;
    const auto waited = Clock::now() - began;
    if (waited > patience) return std::nullopt;
    if (waited < kAwake) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::min<Clock::duration>(waited / kSleptPart, kLongestSleep));
    }
  }
}

}  // namespace shoal::kernels::cuda
