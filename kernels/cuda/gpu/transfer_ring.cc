// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/transfer_ring.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/gpu/wait.h"

namespace shoal::kernels::cuda {

constexpr std::size_t kAlignment = 256;

TransferRing::~TransferRing() {
  for (const Slot& slot : slots_) {
    if (slot.done != nullptr) cudaEventDestroy(slot.done);
  }
  if (all_done_ != nullptr) cudaEventDestroy(all_done_);
  if (memory_ != nullptr) cudaFreeHost(memory_);
}

cudaError_t TransferRing::open(cudaStream_t stream) {
  stream_ = stream;
  void* memory = nullptr;
  cudaError_t error = cudaHostAlloc(&memory, kSlots * kSlotBytes, cudaHostAllocDefault);
  if (error != cudaSuccess) return error;
  memory_ = static_cast<char*>(memory);
  for (std::size_t i = 0; i < kSlots; ++i) {
    slots_[i].memory = memory_ + i * kSlotBytes;
    error = create_event(&slots_[i].done);
    if (error != cudaSuccess) return error;
  }
  return create_event(&all_done_);
}

void TransferRing::upload(void* device, const void* host, std::size_t bytes) {
  auto* to = static_cast<char*>(device);
  const auto* from = static_cast<const char*>(host);
  while (bytes > 0) {
    const std::size_t piece = std::min(bytes, kSlotBytes);
    char* const pinned = take(piece);
    if (pinned == nullptr) return;
    std::memcpy(pinned, from, piece);
    if (!failure_.check(cudaMemcpyAsync(to, pinned, piece, cudaMemcpyHostToDevice, stream_),
                        "cudaMemcpyAsync to the device")) {
      return;
    }
    to += piece;
    from += piece;
    bytes -= piece;
  }
}

void TransferRing::download(void* host, const void* device, std::size_t bytes) {
  auto* to = static_cast<char*>(host);
  const auto* from = static_cast<const char*>(device);
  while (bytes > 0) {
    const std::size_t piece = std::min(bytes, kSlotBytes);
    char* const pinned = take(piece);
    if (pinned == nullptr) return;
    if (!failure_.check(cudaMemcpyAsync(pinned, from, piece, cudaMemcpyDeviceToHost, stream_),
                        "cudaMemcpyAsync from the device")) {
      return;
    }
    slots_[current_].deliveries.push_back({to, pinned, piece});
    to += piece;
    from += piece;
    bytes -= piece;
  }
}

void TransferRing::synchronize() {
  if (!failure_.check(cudaEventRecord(all_done_, stream_), "cudaEventRecord") ||
      !failure_.check(wait(all_done_), "waiting for its work")) {
    return;
  }
  // The oldest first: of two downloads to one place the later one counts.
  for (std::size_t i = 1; i <= kSlots; ++i) deliver(slots_[(current_ + i) % kSlots]);
}

char* TransferRing::take(std::size_t bytes) {
  if (!failure_.none()) return nullptr;
  if (slots_[current_].used + bytes > kSlotBytes && !next_slot()) return nullptr;
  Slot& slot = slots_[current_];
  char* const taken = slot.memory + slot.used;
  slot.used += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return taken;
}

bool TransferRing::next_slot() {
  Slot& full = slots_[current_];
  if (!failure_.check(cudaEventRecord(full.done, stream_), "cudaEventRecord")) return false;
  full.under_way = true;
  current_ = (current_ + 1) % kSlots;
  Slot& slot = slots_[current_];
  if (slot.under_way && !failure_.check(wait(slot.done), "waiting for a copy")) return false;
  deliver(slot);
  return true;
}

// Of a slot whose copies are done; it is empty then.
void TransferRing::deliver(Slot& slot) {
  for (const Delivery& delivery : slot.deliveries) {
    std::memcpy(delivery.to, delivery.from, delivery.bytes);
  }
  slot.deliveries.clear();
  slot.used = 0;
  slot.under_way = false;
}

}  // namespace shoal::kernels::cuda
