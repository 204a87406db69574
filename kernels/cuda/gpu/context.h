// SPDX-License-Identifier: Apache-2.0
// A GPU that is open: its one stream, on which all work is queued, its pinned ring for what comes
// and goes, its records, its first failure. One caller at a time, failure.text() from any thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/cuda/context.h"
#include "kernels/cuda/gpu/failure.h"
#include "kernels/cuda/gpu/records.h"
#include "kernels/cuda/gpu/transfer_ring.h"

namespace shoal::kernels::cuda {

// How many GPUs there are; with a reason where that is not known (-1) or none (0).
int count_gpus(Reason* reason);

class GpuContext : public Context {
 public:
  // Null and a reason.
  static std::unique_ptr<GpuContext> open(int index, Reason* reason);
  ~GpuContext();

  // Makes this GPU the calling thread's; false after a failure.
  bool use();
  bool facts(DeviceFacts* facts);
  // Zeros; null where there is not so much.
  void* allocate(std::size_t bytes);
  // Of any GPU, when its work is done.
  static void release(void* data);
  // That the kernel may have more shared memory than all kernels may.
  bool allow_shared(const void* kernel);
  void launched(cudaError_t error, const void* kernel);

  const int index;
  cudaStream_t stream = nullptr;
  Failure failure;
  TransferRing ring{failure};
  Records records{failure};

 private:
  explicit GpuContext(int number) : index(number) {}
  bool open(Reason* reason, const char* name);

  std::vector<const void*> with_shared_;  // kernels
};

inline GpuContext& gpu(Context& context) { return static_cast<GpuContext&>(context); }
inline const GpuContext& gpu(const Context& context) {
  return static_cast<const GpuContext&>(context);
}

}  // namespace shoal::kernels::cuda
