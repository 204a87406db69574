// SPDX-License-Identifier: Apache-2.0
// A device as its users see it: memory, copies, and the table of operators that run there. One
// caller at a time. What an operator or a copy was given must stay until synchronize() or
// download() returns: a device may work behind its caller's back (the CPU does not).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "kernels/buffer.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

struct Operators;

class Executor {
 public:
  // threads: including the calling one; 0 means one per available core. Results never depend on it.
  static std::unique_ptr<Executor> cpu(int threads);
  virtual ~Executor() = default;

  virtual Device device() const = 0;
  virtual const Operators& operators() const = 0;

  // At least 64-byte aligned, zeros; nullopt when there is not so much. On the CPU it is committed
  // when it is first touched: a buffer may be sized generously.
  virtual std::optional<Buffer> allocate(std::size_t bytes) = 0;
  // Lets go of what lies between the two addresses of one buffer, as far as the device can: the
  // content is lost, the addresses stay ours. From any thread.
  virtual void discard(void* begin, void* end) = 0;

  // Between host and device, and within the device; in the order of the calls and the operators.
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;  // waits for it
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void synchronize() = 0;
};

// The CPU instruction sets that kernels are compiled for; chosen at run time, or by
// SHOAL_CPU=baseline|avx2|avx512. All give bitwise the same results.
const char* cpu_instruction_set();

}  // namespace shoal::kernels
