// SPDX-License-Identifier: Apache-2.0
// The emulator as a device: memory of the host, a queue of work, records of what is repeated. Work
// may be done when it is queued or only when somebody waits for it, as a GPU may do either.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <vector>

#include "kernels/cuda/context.h"
#include "kernels/cuda/emulator/machine.h"
#include "kernels/cuda/module.h"

namespace shoal::kernels::cuda::emulator {

struct DeviceOptions {
  Options machine = {};
  bool late_work = false;
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;
  std::size_t quantized_bytes = kQuantizedScratch;  // fewer: products in more passes
};

// The table of functions; a device that it opens has these options. The options of later calls
// count for devices that are opened later.
const Module& module(const DeviceOptions& options);

using Work = std::function<void()>;

class EmulatedContext : public Context {
 public:
  explicit EmulatedContext(const DeviceOptions& options);
  ~EmulatedContext();

  Machine& machine() { return machine_; }
  void queue(Work work);
  void finish();  // all that is queued
  std::uint64_t mark() const { return queued_; }
  // Does a piece of what stands before the mark first, if something is left: a GPU works meanwhile.
  bool reached(std::uint64_t mark);
  void wait(std::uint64_t mark);
  Record begin_record(const RecordKey& key);
  void end_record();
  void repeat(const RecordKey& key);
  bool records() const { return recording_ != nullptr; }
  void count_launch() { ++launches_; }
  std::int64_t launches() const { return launches_; }  // kernels that have run
  const DeviceOptions& options() const { return options_; }

 private:
  // Few, so that tests come to see that the oldest is forgotten.
  static constexpr std::size_t kMostRecordings = 8;
  struct Recording {
    RecordKey key;
    std::vector<Work> work;
  };
  Recording* find(const RecordKey& key);

  const DeviceOptions options_;
  Machine machine_;
  void do_one();

  std::deque<Work> queue_;
  std::uint64_t queued_ = 0, done_ = 0;  // pieces of work, since the beginning
  std::list<Recording> recordings_;      // the oldest first
  std::vector<Work>* recording_ = nullptr;
  std::int64_t launches_ = 0;
};

inline EmulatedContext& emulated(Context& context) {
  return static_cast<EmulatedContext&>(context);
}

}  // namespace shoal::kernels::cuda::emulator
