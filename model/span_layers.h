// SPDX-License-Identifier: Apache-2.0
// Loads the weights of a span's blocks: as they are stored, from the cache of packed blocks, or
// packed now and kept there. The caller waits and is told.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "model/block_layers.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/file_work.h"
#include "model/weight_choice.h"

namespace shoal::model {

class BlockCache;

struct PackOptions {
  BlockCache* cache = nullptr;  // null: packed at each start
  FileWork reading = {};        // what was packed before: bytes of the cache
  FileWork packing = {};        // bytes as they are stored; its threads are the executor's
};

// [end - begin]. NOT_FOUND / INVALID_ARGUMENT name the tensor that does not fit,
// FAILED_PRECONDITION a file that changed meanwhile.
absl::StatusOr<std::vector<BlockLayers>> load_span_layers(
    const ModelConfig& config, const Checkpoint& checkpoint, std::int64_t begin, std::int64_t end,
    kernels::Executor& executor, WeightChoice weights, const PackOptions& options);

}  // namespace shoal::model
