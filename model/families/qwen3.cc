// SPDX-License-Identifier: Apache-2.0
// Qwen3: Llama with a norm of each head of q and k, and Qwen2's sliding window. Source:
// transformers modeling_qwen3.py.
#include <array>

#include "model/families/decoder.h"
#include "model/families/family.h"
#include "model/families/features.h"

namespace shoal::model {
namespace {

constexpr DecoderDefaults kQwen3Defaults = {
    .kv_heads = 32, .head_dim = 128, .max_positions = 32'768};
// It has the norm whatever these say.
constexpr std::array<std::string_view, 3> kQwen3Computes = {"use_qk_norm", "qk_norm",
                                                            "qk_layernorm"};

void read_qwen3(JsonFields& fields, ModelConfig& config) {
  refuse_unsupported_features(fields, kQwen3Computes);
  DecoderBlock block = read_sizes(fields, kQwen3Defaults, config);
  block.qkv_bias = block.output_bias = fields.boolean("attention_bias", false);
  block.qk_norm = true;
  ignore_bias_flag(fields, "mlp_bias", config);
  read_blocks(fields, block, read_upper_window(fields), config);
  read_rest(fields, kQwen3Defaults, config);
}

}  // namespace

const Family kQwen3 = {"Qwen3ForCausalLM", "qwen3", "Qwen3Model", read_qwen3};

}  // namespace shoal::model
