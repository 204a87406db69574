// SPDX-License-Identifier: Apache-2.0
// Fills the tables of one instruction set; included only by the files that are compiled for one:
// cpu_baseline.cc, cpu_avx2.cc and the like.
#pragma once

#include "kernels/attention_kernel.h"
#include "kernels/cpu_kernels.h"
#include "kernels/kv_kernel.h"
#include "kernels/linear_kernel.h"
#include "kernels/portable_pack_kernel.h"
#include "kernels/portable_rows_kernel.h"
#include "kernels/row_kernel.h"

namespace shoal::kernels {

template <class V, class Dots>
constexpr IntKernels int_table() {
  return {&linear_portable<V, Dots>, &Dots::dot_loop, Dots::kDotLoopOps};
}

template <class V, class Dots>
constexpr CpuKernels cpu_table() {
  CpuKernels table{};
  table.linear_few = &linear_few<V>;
  table.linear_many = &linear_many<V>;
  table.integers = int_table<V, Dots>();
  table.quantize_row = &quantize_row<V>;
  table.pack_group = &pack_group<V>;
  table.attention = &attention_part<V>;
  table.attend_split = &attend_split<V>;
  table.merge_attention = &merge_attention<V>;
  table.rms_norm = &rms_norm_row<V>;
  table.silu_mul = &silu_mul_row<V>;
  table.exp = &exp_row<V>;
  table.rope = &rope_row<V>;
  table.to_f32 = &to_f32_row<V>;
  table.from_f32 = &from_f32_row<V>;
  table.keep_kv = &keep_kv_vector<V>;
  table.read = &read_bytes<V>;
  table.fma_loop = &fma_loop<V>;
  table.fma_loop_flops = fma_loop_flops<V>();
  return table;
}

}  // namespace shoal::kernels
