// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/shared_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/cuda/emulator/machine.h"

namespace shoal::kernels::cuda::emulator {
namespace {

constexpr std::size_t kPieceAlignment = 16;  // of a piece, and no more: as on a GPU

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

}  // namespace

SharedMemory::~SharedMemory() {
  for (const Piece& piece : pieces_) std::free(piece.data);
}

void* SharedMemory::take(std::size_t number, std::size_t bytes) {
  if (number < pieces_.size()) {
    if (pieces_[number].bytes != bytes) fail("threads of a CTA take shared memory differently");
    return pieces_[number].data;
  }
  if (bytes > bytes_ - used_) fail("more shared memory than the launch asked for");
  used_ =
      std::min(bytes_, (used_ + bytes + kPieceAlignment - 1) / kPieceAlignment * kPieceAlignment);
  void* data = nullptr;
  if (::posix_memalign(&data, kPieceAlignment, std::max<std::size_t>(bytes, 1)) != 0) {
    throw std::bad_alloc();
  }
  std::memset(data, 0xff, bytes);
  pieces_.push_back({static_cast<char*>(data), bytes});
  return data;
}

bool SharedMemory::holds(const void* from, std::size_t bytes) const {
  return std::any_of(pieces_.begin(), pieces_.end(), [&](const Piece& piece) {
    return address(from) >= address(piece.data) &&
           address(from) + bytes <= address(piece.data) + piece.bytes;
  });
}

}  // namespace shoal::kernels::cuda::emulator
