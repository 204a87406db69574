// SPDX-License-Identifier: Apache-2.0
// What goes to a GPU and comes from it, through pinned memory of the host, so that copies run
// behind their caller's back: bytes that are uploaded are taken at once, bytes that are downloaded
// are delivered by synchronize(). A ring of slots, each filled by one copy after the other; nobody
// waits but who finds the ring full. One caller at a time. Owns the pinned memory.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <vector>

#include "kernels/cuda/gpu/failure.h"

namespace shoal::kernels::cuda {

class TransferRing {
 public:
  explicit TransferRing(Failure& failure) : failure_(failure) {}
  ~TransferRing();
  TransferRing(const TransferRing&) = delete;
  TransferRing& operator=(const TransferRing&) = delete;

  // All copies are queued on the stream.
  cudaError_t open(cudaStream_t stream);

  void upload(void* device, const void* host, std::size_t bytes);
  void download(void* host, const void* device, std::size_t bytes);
  // Until the stream has done all that was queued.
  void synchronize();

  static constexpr std::size_t kSlots = 8;
  static constexpr std::size_t kSlotBytes = std::size_t{4} << 20;

 private:
  struct Delivery {
    void* to;
    const char* from;
    std::size_t bytes;
  };
  struct Slot {
    char* memory = nullptr;
    cudaEvent_t done = nullptr;
    bool under_way = false;  // until `done`
    std::size_t used = 0;
    std::vector<Delivery> deliveries;
  };

  // Room for a piece of what is left; null after a failure.
  char* take(std::size_t bytes);
  bool next_slot();
  static void deliver(Slot& slot);

  Failure& failure_;
  cudaStream_t stream_ = nullptr;
  char* memory_ = nullptr;  // [kSlots, kSlotBytes]
  std::array<Slot, kSlots> slots_;
  std::size_t current_ = 0;
  cudaEvent_t all_done_ = nullptr;
};

}  // namespace shoal::kernels::cuda
