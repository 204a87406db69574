// SPDX-License-Identifier: Apache-2.0
// The operators of module.h as both backs compile them: host code that chooses kernels and grids.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/module.h"

namespace shoal::kernels::cuda {

void multiply(Context& context, const Multiply& a, const InputNorm* norm);
void gate_up(Context& context, const GateUp& a, const InputNorm* norm);
void pack_stored(Context& context, const PackStored& a);
void pack_portable(Context& context, const PackPortable& a);
void pack_mma(Context& context, const PackMma& a);
void rms_norm(Context& context, const RmsNorm& a);
void rotate_append(Context& context, const RotateAppend& a);
void attend(Context& context, const Attend& a);
void silu_mul(Context& context, const SiluMul& a);
void embed(Context& context, const Embed& a);
void finite_rows(Context& context, const FiniteRows& a);

// The half of the table that is the same for both.
inline void fill_operators(Module& table) {
  table.multiply = [](Context* c, const Multiply* a, const InputNorm* norm) {
    multiply(*c, *a, norm);
  };
  table.gate_up = [](Context* c, const GateUp* a, const InputNorm* norm) { gate_up(*c, *a, norm); };
  table.pack_stored = [](Context* c, const PackStored* a) { pack_stored(*c, *a); };
  table.pack_portable = [](Context* c, const PackPortable* a) { pack_portable(*c, *a); };
  table.pack_mma = [](Context* c, const PackMma* a) { pack_mma(*c, *a); };
  table.rms_norm = [](Context* c, const RmsNorm* a) { rms_norm(*c, *a); };
  table.rotate_append = [](Context* c, const RotateAppend* a) { rotate_append(*c, *a); };
  table.attend = [](Context* c, const Attend* a) { attend(*c, *a); };
  table.silu_mul = [](Context* c, const SiluMul* a) { silu_mul(*c, *a); };
  table.embed = [](Context* c, const Embed* a) { embed(*c, *a); };
  table.finite_rows = [](Context* c, const FiniteRows* a) { finite_rows(*c, *a); };
}

}  // namespace shoal::kernels::cuda
