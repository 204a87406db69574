// SPDX-License-Identifier: Apache-2.0
// Waiting for a GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <optional>

namespace shoal::kernels::cuda {

using Clock = std::chrono::steady_clock;

// A batch takes a second at most, a copy of weights less. What takes so much longer never ends: the
// card fell off its bus, or its driver hangs.
inline constexpr std::chrono::milliseconds kPatience{60'000};

// An event without times, for await(); null and an error.
cudaError_t create_event(cudaEvent_t* event);

// Until all is done that was queued before the event was recorded; nullopt: not within `patience`.
// What takes longer than a short while is slept through: the node's other threads want the core.
std::optional<cudaError_t> await(cudaEvent_t event, std::chrono::milliseconds patience);

}  // namespace shoal::kernels::cuda
