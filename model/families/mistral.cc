// SPDX-License-Identifier: Apache-2.0
// Mistral: Llama without biases, with a sliding window in every block. Source: transformers
// modeling_mistral.py.
#include "absl/strings/str_cat.h"
#include "model/families/decoder.h"
#include "model/families/family.h"
#include "model/families/features.h"

namespace shoal::model {
namespace {

constexpr DecoderDefaults kMistralDefaults = {
    .kv_heads = 8, .max_positions = 131'072, .bos_id = 1, .eos_id = 2};

// By itself it slides everywhere; only layer_types can have said otherwise.
void warn_of_full_attention(const JsonFields& fields, std::int64_t window, ModelConfig& config) {
  if (window == 0 || !fields.status().ok()) return;
  for (std::int64_t i = 0; i < config.block_count; ++i) {
    if (config.block(i).attention.window > 0) continue;
    config.warnings.push_back(
        absl::StrCat(fields.where(), ": layer_types says \"full_attention\" for layer ", i,
                     ", where ", config.architecture, " slides by itself (sliding_window ", window,
                     "): layer_types is followed, as in the reference"));
    return;
  }
}

void read_mistral(JsonFields& fields, ModelConfig& config) {
  refuse_unsupported_features(fields);
  const DecoderBlock block = read_sizes(fields, kMistralDefaults, config);
  ignore_bias_flag(fields, "attention_bias", config);
  ignore_bias_flag(fields, "mlp_bias", config);
  const std::int64_t window = read_window(fields, 4096);
  read_blocks(fields, block, {.positions = window}, config);
  warn_of_full_attention(fields, window, config);
  read_rest(fields, kMistralDefaults, config);
}

}  // namespace

const Family kMistral = {"MistralForCausalLM", "mistral", "MistralModel", read_mistral};

}  // namespace shoal::model
