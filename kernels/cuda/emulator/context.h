// SPDX-License-Identifier: Apache-2.0
// The emulator as a device: memory of the host, a queue of work, records of what is repeated. Work
// may be done when it is queued or only when somebody waits for it, as a GPU may do either.
#pragma once

#include <cstdint>
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
  Record begin_record(const RecordKey& key);
  void end_record();
  void repeat(const RecordKey& key);
  bool records() const { return recording_ != nullptr; }
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
  std::vector<Work> queue_;
  std::list<Recording> recordings_;  // the oldest first
  std::vector<Work>* recording_ = nullptr;
};

inline EmulatedContext& emulated(Context& context) {
  return static_cast<EmulatedContext&>(context);
}

}  // namespace shoal::kernels::cuda::emulator
