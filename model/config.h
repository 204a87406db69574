// SPDX-License-Identifier: Apache-2.0
// config.json of the Llama family (Llama 2/3/3.x, Mistral, Qwen2, Qwen3) as plain values. Anything
// that would change the mathematics and that we do not compute is refused with one clear error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::model {

// Source: Hugging Face transformers 4.x/5.x modeling_rope_utils.py.
struct RopeConfig {
  enum class Type { kDefault, kLinear, kLlama3, kYarn };
  Type type = Type::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  std::optional<double> attention_factor, mscale, mscale_all_dim;
  bool truncate = true;
  std::int64_t original_max_positions = 0;
};

struct ModelConfig {
  std::string architecture;  // e.g. "LlamaForCausalLM"
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t block_count = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocabulary = 0;
  std::int64_t max_positions = 0;
  float rms_norm_eps = 1e-6f;
  RopeConfig rope;
  bool qkv_bias = false;
  bool output_bias = false;  // attention output projection
  bool mlp_bias = false;
  bool qk_norm = false;
  bool tied_embeddings = false;
  std::vector<std::int64_t> sliding_window;  // [block_count], 0: full attention
  std::vector<std::int32_t> eos_ids;
  std::optional<std::int32_t> bos_id;
  std::vector<std::string> warnings;  // one line each: what of the file is taken otherwise
};

absl::StatusOr<ModelConfig> parse_config(const std::string& json_text);
// Reads DIR/config.json; errors name the path and, for a folder that is missing or not a model,
// what is expected.
absl::StatusOr<ModelConfig> load_config(const std::string& directory);

}  // namespace shoal::model
