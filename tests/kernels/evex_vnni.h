// SPDX-License-Identifier: Apache-2.0
// The products of kernels/int_dots_ymm_vnni.h with the instruction as AVX-512 encodes it: what runs
// where AVX-VNNI is missing and AVX-512 VNNI is not.
#pragma once

#include "kernels/cpu_kernels.h"

namespace shoal::kernels {

extern const IntKernels kEvexVnniIntegers;

}  // namespace shoal::kernels
