// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_table.h"
#include "kernels/int_dots_ymm.h"
#include "kernels/vec16_avx512.h"

namespace shoal::kernels {

constinit const CpuKernels kAvx512Kernels = cpu_table<avx512::Vec16, IntDotsYmm<avx512::Vec16>>();

}  // namespace shoal::kernels
