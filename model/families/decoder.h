// SPDX-License-Identifier: Apache-2.0
// What most families have in common with Llama: the keys of config.json, the names of the tensors,
// and a block of pre-norm attention and gated MLP. A family calls what fits it, and reads the rest
// itself. Nothing here asks which family it is. Pure.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/json_fields.h"

namespace shoal::model {

// What transformers' configuration class of the family assumes for a key that is absent.
struct DecoderDefaults {
  std::int64_t kv_heads = 0;  // 0: as many as query heads
  std::int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  std::int64_t max_positions = 0;
  std::int32_t bos_id = -1, eos_id = -1;  // -1: none
};

struct DecoderBlock {
  std::int64_t intermediate = 0;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  bool qkv_bias = false;
  bool output_bias = false;  // attention output projection
  bool mlp_bias = false;
  bool qk_norm = false;  // RMS norm of each head of q and k
};

// A window over the last `positions`, 0: none, from block `first` on.
struct SlidingWindow {
  std::int64_t positions = 0;
  std::int64_t first = 0;
};

// Sizes, into the config and the block.
DecoderBlock read_sizes(JsonFields& fields, const DecoderDefaults& defaults, ModelConfig& config);

// A number of positions, `absent` when there is no such key; null is none.
std::int64_t read_window(JsonFields& fields, std::int64_t absent);
// Only with use_sliding_window, from block max_window_layers on (Qwen).
SlidingWindow read_upper_window(JsonFields& fields);

// Gives every block its kind; layer_types is stronger than `window`.
void read_blocks(JsonFields& fields, const DecoderBlock& block, SlidingWindow window,
                 ModelConfig& config);

// Tied embeddings, special ids and rotary embedding: what is left of most files.
void read_rest(JsonFields& fields, const DecoderDefaults& defaults, ModelConfig& config);

// A flag of other families that the reference does not read in this one: a warning when it is set.
void ignore_bias_flag(JsonFields& fields, const char* key, ModelConfig& config);

}  // namespace shoal::model
