// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// finite[r] = 1 where no value of row r of x is an infinity or NaN, else 0. finite [x.rows], of the
// executor's device; the host may not follow it unless that is the CPU.
void finite_rows(Executor& executor, const ConstMatrixView& x, std::uint32_t* finite);

}  // namespace shoal::kernels
