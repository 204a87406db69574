// SPDX-License-Identifier: Apache-2.0
// Operators whose kernels are not written yet. Weak: a kernel source that defines one takes its
// place.
#include "kernels/cuda/gpu/context.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/products.h"

namespace shoal::kernels::cuda {
namespace {

void missing(Context& context, const char* name) {
  gpu(context).failure.note(name, "this operator has no kernel yet");
}

}  // namespace

#define SHOAL_UNFINISHED(name, Arguments)                                     \
  __attribute__((weak)) void name(Context& context, const Arguments& /*a*/) { \
    missing(context, #name);                                                  \
  }
SHOAL_UNFINISHED(multiply_stored, Multiply)
SHOAL_UNFINISHED(gate_up_stored, GateUp)
SHOAL_UNFINISHED(pack_stored, PackStored)
SHOAL_UNFINISHED(multiply_portable, Multiply)
SHOAL_UNFINISHED(gate_up_portable, GateUp)
SHOAL_UNFINISHED(pack_portable, PackPortable)
SHOAL_UNFINISHED(kv_append, KvAppend)
SHOAL_UNFINISHED(attend, Attend)
#undef SHOAL_UNFINISHED

}  // namespace shoal::kernels::cuda
