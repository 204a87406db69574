// SPDX-License-Identifier: Apache-2.0
// What operators know of the device that they work on: its scratch and its size. Each back derives
// its own. Scratch is one operator's until the next.
#pragma once

#include <cstddef>

namespace shoal::kernels::cuda {

struct Scratch {
  void* data = nullptr;
  std::size_t bytes = 0;
};

// Of activations in int8, and of what attention knows of each split. Operators with more rows go
// over them in several launches, or find another way.
inline constexpr std::size_t kQuantizedScratch = std::size_t{32} << 20;
inline constexpr std::size_t kPartialScratch = std::size_t{64} << 20;

struct Context {
  Scratch quantized, partial;
  int multiprocessors = 1;
  std::size_t most_shared = 48 << 10;  // bytes that a CTA can have

 protected:
  Context() = default;
  ~Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

}  // namespace shoal::kernels::cuda
