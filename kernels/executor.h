// SPDX-License-Identifier: Apache-2.0
// A device as its users see it: memory, copies, and the table of operators that run there. One
// caller at a time. A device may work behind its caller's back (the CPU does not): what an operator
// or a copy was given must stay until somebody has waited for it, with synchronize() or a mark, and
// what was downloaded is there then. Only what is uploaded may be changed at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/function_ref.h"
#include "kernels/buffer.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

struct Operators;

// All that the operators of a step depend on, but for what lies in the device's memory.
struct StepKey {
  std::int64_t owner = 0;  // of the step's workspace and tables: one number each, never used again
  std::int64_t rows = 0, positions = 0;  // StepPlan::padded_rows(), most_positions()
  std::int64_t first_block = 0, last_block = 0, first_leased_block = 0;
  const void* pages = nullptr;  // of the pool
  std::int64_t kv_dtype = 0;
};

// Of a device that has memory of its own, in bytes.
struct DeviceMemory {
  std::string name;  // of the device, for people
  std::uint64_t total = 0, free = 0;
  std::string id{};  // of this very one, the same for every process of the machine
};

// The float tensor cores of a device, by how they sum: kernels/mma.h.
enum class MmaKind : std::uint8_t { kNone, kMma8, kMma9 };

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
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void synchronize() = 0;

  // A mark stands behind all that was queued before it. The device keeps the last kMostMarks: an
  // older one counts as reached only when a later one is. Thus one batch can be waited for while
  // the next is queued. What takes for ever ends as a failure(), and counts as reached.
  static constexpr std::size_t kMostMarks = 16;
  using Mark = std::uint64_t;
  virtual Mark mark() { return 0; }
  virtual bool reached(Mark) {
    return true;
  }  // does not wait; what was downloaded may not be there
  virtual void wait(Mark) {}
  // Whether work goes on behind the caller's back.
  virtual bool works_ahead() const { return false; }
  virtual MmaKind mma() const { return MmaKind::kNone; }

  // So many rows are run as how many: a device that repeats steps has few kinds of them. The rows
  // beyond are of no session, and their results nobody's.
  virtual std::int64_t padded_rows(std::int64_t rows) const { return rows; }
  // Runs the operators of a step: body(), or what it did before for the same key.
  virtual void run_step(const StepKey&, base::FunctionRef<void()> body) { body(); }

  // nullopt: the device uses the host's memory.
  virtual std::optional<DeviceMemory> memory() const { return std::nullopt; }

  // Why the device does not work any more; empty while it does. What it gave since is worth
  // nothing. Thread-safe.
  virtual std::string failure() const { return {}; }
};

// The CPU instruction sets that kernels are compiled for; chosen at run time, or by
// SHOAL_CPU=baseline|avx2|avx512. All give bitwise the same results.
const char* cpu_instruction_set();

}  // namespace shoal::kernels
