// SPDX-License-Identifier: Apache-2.0
// Where there is no nvcc.
#include "tests/kernels/truth/back.h"

namespace shoal::kernels::cuda::truth {

OpenedBack open_gpu_back() {
  return {nullptr, "this program was built without nvcc and has no kernels for GPUs"};
}

}  // namespace shoal::kernels::cuda::truth
