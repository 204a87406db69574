// SPDX-License-Identifier: Apache-2.0
// What the blocks of a test's model run on. A test program links one of cpu_engine.cc,
// emulated_engine.cc and gpu_engine.cc: the same bodies prove every device.
#pragma once

#include <memory>

#include "kernels/executor.h"

namespace shoal::model {

// Of the CPU, so many threads; of an emulated GPU, the seed of its order. Results never depend on
// it, but for the float tensor cores of an emulated GPU: up to 3 they are mma8, from 4 on mma9.
std::unique_ptr<kernels::Executor> make_engine(int variant);

// What takes the CPU seconds takes the engine minutes: do a part of it.
bool engine_is_slow();

}  // namespace shoal::model
