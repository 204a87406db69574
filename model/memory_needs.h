// SPDX-License-Identifier: Apache-2.0
// What serving a block of a model takes of memory, from its configuration and its tensors' table.
// Pure.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/kv_dtype.h"
#include "model/end_tensors.h"
#include "model/weight_choice.h"

namespace shoal::model {

struct MemoryNeeds {
  std::uint64_t block_weight_bytes = 0;       // the largest block's
  std::uint64_t block_position_kv_bytes = 0;  // keys and values of one position in one block
  std::uint64_t workspace_bytes = 0;          // activations of one batch
  bool packed = false;                        // weights are not those of the model's own files
  // Whatever the number of blocks: the model's ends.
  std::uint64_t fixed_bytes = 0;
  std::uint64_t own_fixed_bytes = 0;  // of them, not mapped from the model's files
};

// `batch_rows`: the most rows that run together. What a block lacks in this folder counts as if it
// were stored as the rest is.
MemoryNeeds memory_needs(const ModelConfig& config, const Checkpoint& checkpoint,
                         std::int64_t batch_rows,
                         kernels::KvDType kv_dtype = kernels::KvDType::kF32,
                         WeightChoice weights = WeightChoice::kStored);

// Of a model of which nothing but the configuration is here, whose values are stored so.
MemoryNeeds memory_needs(const ModelConfig& config, std::uint64_t bytes_a_value,
                         std::int64_t batch_rows, kernels::KvDType kv_dtype, WeightChoice weights);

// What serving these ends takes, with the head kept as `head` says; and the logits of so many rows
// at a time.
struct EndNeeds {
  std::uint64_t embedding_bytes = 0,
                head_bytes = 0;  // a tied tensor that serves both is the former
  std::uint64_t own_bytes = 0;   // not mapped from the model's files
  std::uint64_t all_bytes() const;
};
EndNeeds end_needs(const ModelConfig& config, const Checkpoint& checkpoint, const EndParts& parts,
                   WeightChoice head, std::int64_t rows);

// The type in which the blocks' matrices are stored: "bf16".
std::string stored_type(const ModelConfig& config, const Checkpoint& checkpoint);

}  // namespace shoal::model
