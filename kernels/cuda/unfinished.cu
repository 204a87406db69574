// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/products.h"

namespace shoal::kernels::cuda {

void multiply_stored(Context&, const Multiply&) { CHECK(false) << "multiply"; }
void gate_up_stored(Context&, const GateUp&) { CHECK(false) << "gate_up"; }
void pack_stored(Context&, const PackStored&) { CHECK(false) << "pack_stored"; }

void multiply_portable(Context&, const Multiply&) { CHECK(false) << "multiply"; }
void gate_up_portable(Context&, const GateUp&) { CHECK(false) << "gate_up"; }
void pack_portable(Context&, const PackPortable&) { CHECK(false) << "pack_portable"; }

}  // namespace shoal::kernels::cuda
