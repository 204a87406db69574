// SPDX-License-Identifier: Apache-2.0
#include "tests/model/engine.h"

namespace shoal::model {

std::unique_ptr<kernels::Executor> make_engine(int variant) {
  return kernels::Executor::cpu(variant);
}

bool engine_is_slow() { return false; }

}  // namespace shoal::model
