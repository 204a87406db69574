// SPDX-License-Identifier: Apache-2.0
// The first failure of a context; there is no way back from it, since CUDA gives the same error to
// every call after a kernel has gone astray. Noted by the context's caller, read by any thread.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <chrono>

#include "kernels/cuda/module.h"

namespace shoal::kernels::cuda {

class Failure {
 public:
  // Which GPU the sentences name.
  void of(int index, const char* name);

  bool none() const { return !happened_.load(std::memory_order_acquire); }
  // Notes an error of a call, by the call's name; whether all is well, now and before.
  bool check(cudaError_t error, const char* call);
  void note(const char* what, const char* why);
  // The GPU does not answer: from then on nobody may wait for it, not even to free its memory.
  void hang(const char* what, std::chrono::milliseconds after);
  bool hangs() const { return hangs_.load(std::memory_order_acquire); }
  static bool any_hangs() { return any_hangs_.load(std::memory_order_acquire); }
  const char* text() const { return none() ? "" : text_.text; }

 private:
  std::atomic<bool> happened_{false};
  std::atomic<bool> hangs_{false};
  inline static std::atomic<bool> any_hangs_{false};
  Reason text_{};  // written once, before happened_
  char gpu_[288] = "the GPU";
};

}  // namespace shoal::kernels::cuda
