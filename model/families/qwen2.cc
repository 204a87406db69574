// SPDX-License-Identifier: Apache-2.0
// Qwen2 and Qwen2.5: Llama with biases on q, k and v only, and a sliding window in the upper blocks
// if asked for. Source: transformers modeling_qwen2.py.
#include "model/families/decoder.h"
#include "model/families/family.h"
#include "model/families/features.h"

namespace shoal::model {
namespace {

constexpr DecoderDefaults kQwen2Defaults = {.kv_heads = 32, .max_positions = 32'768};

void read_qwen2(JsonFields& fields, ModelConfig& config) {
  refuse_unsupported_features(fields);
  DecoderBlock block = read_sizes(fields, kQwen2Defaults, config);
  block.qkv_bias = true;
  ignore_bias_flag(fields, "mlp_bias", config);
  read_blocks(fields, block, read_upper_window(fields), config);
  read_rest(fields, kQwen2Defaults, config);
}

}  // namespace

const Family kQwen2 = {"Qwen2ForCausalLM", "qwen2", "Qwen2Model", read_qwen2};

}  // namespace shoal::model
