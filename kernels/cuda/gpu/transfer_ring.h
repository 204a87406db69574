// SPDX-License-Identifier: Apache-2.0
// What goes to a GPU and comes from it, through pinned memory of the host, so that copies run
// behind their caller's back: bytes that are uploaded are taken at once, bytes that are downloaded
// are delivered by whoever waits for a mark behind them. A ring of slots, each filled by one copy
// after the other; nobody waits but who finds the ring full. One caller at a time. Owns the pinned
// memory.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "kernels/cuda/gpu/failure.h"
#include "kernels/cuda/gpu/wait.h"

namespace shoal::kernels::cuda {

class TransferRing {
 public:
  // `patience`: a GPU that has not done its work by then does not work any more.
  explicit TransferRing(Failure& failure, std::chrono::milliseconds patience = kPatience)
      : failure_(failure), patience_(patience) {}
  ~TransferRing();
  TransferRing(const TransferRing&) = delete;
  TransferRing& operator=(const TransferRing&) = delete;

  // All copies are queued on the stream.
  cudaError_t open(cudaStream_t stream);

  void upload(void* device, const void* host, std::size_t bytes);
  void download(void* host, const void* device, std::size_t bytes);

  // kernels/executor.h: Executor::mark() and what goes with it.
  std::uint64_t mark();
  bool reached(std::uint64_t mark);
  void wait(std::uint64_t mark);
  // Until the stream has done all that was queued.
  void synchronize() { wait(mark()); }

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
    std::uint64_t downloads = 0;  // that stand before its end: all, counted from the beginning
    std::uint64_t next_mark = 0;  // the first behind its end
  };
  struct MarkEvent {
    cudaEvent_t event = nullptr;
    std::uint64_t downloads = 0;  // likewise, before the mark
    Clock::time_point made{};
  };

  // Room for a piece of what is left; null after a failure.
  char* take(std::size_t bytes);
  bool next_slot();
  // The oldest first: of two downloads to one place the later one counts.
  void deliver(std::uint64_t downloads);
  // One that is forgotten is as far as the oldest that is known.
  MarkEvent& event_of(std::uint64_t mark);

  Failure& failure_;
  const std::chrono::milliseconds patience_;
  cudaStream_t stream_ = nullptr;
  char* memory_ = nullptr;  // [kSlots, kSlotBytes]
  std::array<Slot, kSlots> slots_;
  std::size_t current_ = 0;
  std::deque<Delivery> deliveries_;  // that are not done yet
  std::uint64_t delivered_ = 0;      // before those
  std::array<MarkEvent, kMarks> marks_;
  std::uint64_t last_mark_ = 0, last_reached_ = 0;
};

}  // namespace shoal::kernels::cuda
