// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_table.h"
#include "kernels/int_dots_ymm.h"
#include "kernels/vec16_avx2.h"

namespace shoal::kernels {

constinit const CpuKernels kAvx2Kernels = cpu_table<avx2::Vec16, IntDotsYmm<avx2::Vec16>>();

}  // namespace shoal::kernels
