// SPDX-License-Identifier: Apache-2.0
// The executors that every operator's test runs on: a test program links one list of them. Those of
// the CPU come first. The same bodies prove every device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/executor.h"

namespace shoal::kernels {

struct NamedExecutor {
  std::string name;
  std::unique_ptr<Executor> executor;
};

// cpu_executors.cc: each instruction set of this machine, and what it can show of another, with 1
// and with 3 threads. emulated_executors.cc: the CPU's baseline, and emulated GPUs.
// gpu_executors.cc: the CPU's baseline, and the first GPU; without one all tests are skipped.
const std::vector<NamedExecutor>& all_executors();
// The last of the CPU's: where only a result is wanted, it comes soonest.
Executor& cpu_executor();

// Whether sweeps leave out what differs from the rest in its size only: sanitizers take six times
// as long for what the emulator takes a hundred times as long for.
bool sweeps_are_short();
template <class T>
T in_sweep(T whole, T short_one) {
  return sweeps_are_short() ? short_one : whole;
}

}  // namespace shoal::kernels
