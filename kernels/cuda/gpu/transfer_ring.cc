// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/transfer_ring.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/gpu/wait.h"

namespace shoal::kernels::cuda {

constexpr std::size_t kAlignment = 256;

TransferRing::~TransferRing() {
  if (failure_.hangs()) return;
  for (const Slot& slot : slots_) {
    if (slot.done != nullptr) cudaEventDestroy(slot.done);
  }
  for (const MarkEvent& mark : marks_) {
    if (mark.event != nullptr) cudaEventDestroy(mark.event);
  }
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
  for (MarkEvent& mark : marks_) {
    error = create_event(&mark.event);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
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
    deliveries_.push_back({to, pinned, piece});
    to += piece;
    from += piece;
    bytes -= piece;
  }
}

std::uint64_t TransferRing::mark() {
  MarkEvent& mark = marks_[++last_mark_ % kMarks];
  mark.downloads = delivered_ + deliveries_.size();
  mark.made = Clock::now();
  failure_.check(cudaEventRecord(mark.event, stream_), "cudaEventRecord");
  return last_mark_;
}

TransferRing::MarkEvent& TransferRing::event_of(std::uint64_t mark) {
  const std::uint64_t oldest = last_mark_ < kMarks ? 1 : last_mark_ - kMarks + 1;
  return marks_[std::max(mark, oldest) % kMarks];
}

bool TransferRing::reached(std::uint64_t mark) {
  if (!failure_.none() || mark == 0) return true;
  const MarkEvent& at = event_of(mark);
  const cudaError_t state = cudaEventQuery(at.event);
  if (state == cudaErrorNotReady) {
    if (Clock::now() - at.made < patience_) return false;
    failure_.hang("waiting for its work", patience_);
    return true;
  }
  failure_.check(state, "waiting for its work");
  return true;
}

void TransferRing::wait(std::uint64_t mark) {
  if (!failure_.none() || mark == 0) return;
  const MarkEvent& at = event_of(mark);
  const auto done = await(at.event, patience_);
  if (!done) return failure_.hang("waiting for its work", patience_);
  if (!failure_.check(*done, "waiting for its work")) return;
  last_reached_ = std::max(last_reached_, mark);
  deliver(at.downloads);
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
  full.downloads = delivered_ + deliveries_.size();
  full.next_mark = last_mark_ + 1;
  current_ = (current_ + 1) % kSlots;
  Slot& slot = slots_[current_];
  if (slot.under_way && last_reached_ < slot.next_mark) {
    const auto done = await(slot.done, patience_);
    if (!done) failure_.hang("waiting for a copy", patience_);
    if (!done || !failure_.check(*done, "waiting for a copy")) return false;
    deliver(slot.downloads);
  }
  slot.used = 0;
  slot.under_way = false;
  return true;
}

void TransferRing::deliver(std::uint64_t downloads) {
  for (; delivered_ < downloads; ++delivered_) {
    const Delivery& delivery = deliveries_.front();
    std::memcpy(delivery.to, delivery.from, delivery.bytes);
    deliveries_.pop_front();
  }
}

}  // namespace shoal::kernels::cuda
