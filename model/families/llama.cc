// SPDX-License-Identifier: Apache-2.0
// Llama 2, 3, 3.x and whatever calls itself so. Source: transformers modeling_llama.py.
#include "model/families/decoder.h"
#include "model/families/family.h"
#include "model/families/features.h"

namespace shoal::model {
namespace {

constexpr DecoderDefaults kLlamaDefaults = {.max_positions = 2048, .bos_id = 1, .eos_id = 2};

void read_llama(JsonFields& fields, ModelConfig& config) {
  refuse_unsupported_features(fields);
  DecoderBlock block = read_sizes(fields, kLlamaDefaults, config);
  block.qkv_bias = block.output_bias = fields.boolean("attention_bias", false);
  block.mlp_bias = fields.boolean("mlp_bias", false);
  read_blocks(fields, block, {}, config);
  read_rest(fields, kLlamaDefaults, config);
}

}  // namespace

const Family kLlama = {"LlamaForCausalLM", "llama", "LlamaModel", read_llama};

}  // namespace shoal::model
