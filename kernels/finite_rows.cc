// SPDX-License-Identifier: Apache-2.0
#include "kernels/finite_rows.h"

#include "kernels/operator_check.h"
#include "kernels/operators.h"

namespace shoal::kernels {

void finite_rows(Executor& executor, const ConstMatrixView& x, std::uint32_t* finite) {
  check_view(executor, x, "x");
  CHECK(finite != nullptr || x.rows == 0) << "nowhere to say which rows are finite";
  executor.operators().finite_rows(executor, x, finite);
}

}  // namespace shoal::kernels
