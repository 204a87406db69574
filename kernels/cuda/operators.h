// SPDX-License-Identifier: Apache-2.0
// The operators of module.h as both backs compile them: host code that chooses kernels and grids.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/module.h"

namespace shoal::kernels::cuda {

void multiply(Context& context, const Multiply& a);
void gate_up(Context& context, const GateUp& a);
void pack_stored(Context& context, const PackStored& a);
void pack_portable(Context& context, const PackPortable& a);
void pack_mma(Context& context, const PackMma& a);
void rms_norm(Context& context, const RmsNorm& a);
void rope(Context& context, const Rope& a);
void kv_append(Context& context, const KvAppend& a);
void attend(Context& context, const Attend& a);
void silu_mul(Context& context, const SiluMul& a);
void embed(Context& context, const Embed& a);

// The half of the table that is the same for both.
inline void fill_operators(Module& table) {
  table.multiply = [](Context* c, const Multiply* a) { multiply(*c, *a); };
  table.gate_up = [](Context* c, const GateUp* a) { gate_up(*c, *a); };
  table.pack_stored = [](Context* c, const PackStored* a) { pack_stored(*c, *a); };
  table.pack_portable = [](Context* c, const PackPortable* a) { pack_portable(*c, *a); };
  table.pack_mma = [](Context* c, const PackMma* a) { pack_mma(*c, *a); };
  table.rms_norm = [](Context* c, const RmsNorm* a) { rms_norm(*c, *a); };
  table.rope = [](Context* c, const Rope* a) { rope(*c, *a); };
  table.kv_append = [](Context* c, const KvAppend* a) { kv_append(*c, *a); };
  table.attend = [](Context* c, const Attend* a) { attend(*c, *a); };
  table.silu_mul = [](Context* c, const SiluMul* a) { silu_mul(*c, *a); };
  table.embed = [](Context* c, const Embed* a) { embed(*c, *a); };
}

}  // namespace shoal::kernels::cuda
