// SPDX-License-Identifier: Apache-2.0
// config.json as plain values, whatever the family of the model (model/families/). Anything that
// would change the mathematics and that we do not compute is refused with one clear error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/block_spec.h"

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

// How the tensors of a model are named; those of a block: BlockSpec::weights.
struct TensorNames {
  std::string blocks = "model.layers.";  // then the block's index and a dot
  std::string embedding = "model.embed_tokens.weight";
  std::string final_norm = "model.norm.weight";
  std::string head = "lm_head.weight";
};

struct ModelConfig {
  std::string architecture;  // e.g. "LlamaForCausalLM"
  std::int64_t hidden = 0;
  std::int64_t block_count = 0;
  std::int64_t vocabulary = 0;
  std::int64_t max_positions = 0;
  float rms_norm_eps = 1e-6f;  // of the final norm
  RopeConfig rope;
  std::vector<BlockSpec> kinds;           // of block in this model, each once, in order of use
  std::vector<std::int32_t> block_kinds;  // [block_count], into `kinds`
  bool tied_embeddings = false;
  TensorNames names;
  std::vector<std::int32_t> eos_ids;
  std::optional<std::int32_t> bos_id;
  std::vector<std::string> warnings;  // one line each: what of the file is taken otherwise

  const BlockSpec& block(std::int64_t i) const {
    return kinds[static_cast<std::size_t>(block_kinds[static_cast<std::size_t>(i)])];
  }
};

absl::StatusOr<ModelConfig> parse_config(const std::string& json_text);
// Reads DIR/config.json; errors name the path and, for a folder that is missing or not a model,
// what is expected.
absl::StatusOr<ModelConfig> load_config(const std::string& directory);

}  // namespace shoal::model
