// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/failure.h"

#include <cstdio>

namespace shoal::kernels::cuda {

void Failure::of(int index, const char* name) {
  std::snprintf(gpu_, sizeof(gpu_), "GPU %d (%s)", index, name);
}

bool Failure::check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return none();
  note(call, cudaGetErrorString(error));
  cudaGetLastError();  // or it is found again where somebody else asks
  return false;
}

void Failure::hang(const char* what, std::chrono::milliseconds after) {
  hangs_.store(true, std::memory_order_release);
  any_hangs_.store(true, std::memory_order_release);
  char why[64];
  std::snprintf(why, sizeof(why), "it has not answered for %lld ms",
                static_cast<long long>(after.count()));
  note(what, why);
}

void Failure::note(const char* what, const char* why) {
  if (!none()) return;
  std::snprintf(text_.text, sizeof(text_.text), "%s does not work any more: %s: %s", gpu_, what,
                why);
  happened_.store(true, std::memory_order_release);
}

}  // namespace shoal::kernels::cuda
