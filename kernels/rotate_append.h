// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/executor.h"
#include "kernels/kv_pages.h"
#include "kernels/step_plan.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// Queries, keys and values of a step's rows, as a block's projections gave them. There may be no
// queries, or no keys and values.
struct ProjectedRows {
  MatrixView q;       // [rows, heads * head_dim]
  MatrixView k;       // [rows, kv_heads * head_dim]
  ConstMatrixView v;  // likewise
  // Of each head alone, as rms_norm() computes it: [1, head_dim], or absent.
  WeightView q_norm = {}, k_norm = {};
  float norm_eps = 0;
};

// All that lies between projections and attention. Heads of q and k are normed, where they have
// norms; then rotated by their row's position, in the rotate-half layout of Hugging Face weights:
// pair (i, i + head_dim/2) by the plan's angle, or not at all where the plan has no frequencies.
// q stays where it is; keys and values are kept in their sessions' pages, as kv_dtype.h says for
// their type. What is left in k says nothing.
void rotate_append(Executor& executor, const ProjectedRows& rows, const KvPages& pages,
                   const KvLayout& layout, const StepPlan& plan);

}  // namespace shoal::kernels
