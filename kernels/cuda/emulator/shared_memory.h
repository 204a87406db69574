// SPDX-License-Identifier: Apache-2.0
// Shared memory of one CTA: pieces, each an allocation of its own, filled with bytes that are NaN
// as floats and make no index.
#pragma once

#include <cstddef>
#include <vector>

namespace shoal::kernels::cuda::emulator {

class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes) : bytes_(bytes) {}
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // The piece of that number, which the first thread that comes makes.
  void* take(std::size_t number, std::size_t bytes);
  // The bytes lie within one piece.
  bool holds(const void* from, std::size_t bytes) const;

 private:
  struct Piece {
    char* data;
    std::size_t bytes;
  };
  const std::size_t bytes_;
  std::size_t used_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace shoal::kernels::cuda::emulator
