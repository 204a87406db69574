// SPDX-License-Identifier: Apache-2.0
// A library that gives a table of another version, as an old libshoal_cuda.so beside a new program
// would.
#include "kernels/cuda/module.h"

extern "C" const shoal::kernels::cuda::Module* shoal_cuda_module() {
  static const shoal::kernels::cuda::Module table = [] {
    shoal::kernels::cuda::Module made{};
    made.abi = shoal::kernels::cuda::kModuleAbi + 7;
    return made;
  }();
  return &table;
}
