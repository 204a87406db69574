// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_table.h"
#include "kernels/int_dots_zmm_vnni.h"
#include "kernels/vec16_avx512.h"

namespace shoal::kernels {

constinit const IntKernels kAvx512VnniIntegers =
    int_table<avx512::Vec16, IntDotsZmmVnni<avx512::Vec16>>();

}  // namespace shoal::kernels
