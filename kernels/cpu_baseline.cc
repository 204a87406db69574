// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_table.h"
#include "kernels/int_dots.h"
#include "kernels/vec16_baseline.h"

namespace shoal::kernels {

constinit const CpuKernels kBaselineKernels =
    cpu_table<baseline::Vec16, IntDots<baseline::Vec16>>();

}  // namespace shoal::kernels
