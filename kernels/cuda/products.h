// SPDX-License-Identifier: Apache-2.0
// Products by kind of weights; all weights of a call are of one format. Internal to the operators.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/context.h"

namespace shoal::kernels::cuda {

// The norm of x, in a launch of its own, for products that have none: what they are of then.
ConstRows normed_rows(Context& context, const ConstRows& x, const InputNorm& norm);

// Weights as they are stored, in the order of stored_layout.h: the law of kernels/linear.cc. norm:
// null where there is none.
void multiply_stored(Context& context, const Multiply& a, const InputNorm* norm);
void gate_up_stored(Context& context, const GateUp& a, const InputNorm* norm);

// Stored values for float tensor cores: the law of kernels/mma.h.
void multiply_mma(Context& context, const Multiply& a);
void gate_up_mma(Context& context, const GateUp& a);

// Portable formats: the law of kernels/portable.h.
void multiply_portable(Context& context, const Multiply& a, const InputNorm* norm);
void gate_up_portable(Context& context, const GateUp& a, const InputNorm* norm);

}  // namespace shoal::kernels::cuda
