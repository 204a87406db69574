// SPDX-License-Identifier: Apache-2.0
// The mathematics of a block, written once over the operators of kernels/: what its BlockSpec says,
// whatever the family. No state: weights and scratch come in.
#pragma once

#include "kernels/executor.h"
#include "kernels/kv_pages.h"
#include "kernels/step_plan.h"
#include "model/block_layers.h"
#include "model/block_spec.h"
#include "model/workspace.h"

namespace shoal::model {

// What all blocks of a step have in common.
struct BlockStep {
  const kernels::StepPlan& plan;
  const kernels::KvPages& pages;
  const Workspace& workspace;
};

// The rows of the workspace's x, in place. `layout`: where this block's keys and values lie.
void run_block(kernels::Executor& executor, const BlockSpec& spec, const BlockLayers& layers,
               const BlockStep& step, const kernels::KvLayout& layout);

}  // namespace shoal::model
