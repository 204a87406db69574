// SPDX-License-Identifier: Apache-2.0
#include "model/families/decoder.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/families/rope_fields.h"

namespace shoal::model {
namespace {

// Far above every model we know of (Llama-405B: 16384 wide, 53248, 126 blocks), far below what
// could overflow a product of two.
constexpr std::int64_t kMaxHidden = 65'536;
constexpr std::int64_t kMaxIntermediate = 1 << 20;
constexpr std::int64_t kMaxBlocks = 4096;
constexpr std::int64_t kMaxHeads = 1024;
constexpr std::int64_t kMaxHeadDim = 1024;
constexpr std::int64_t kMaxVocabulary = 1 << 24;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 30;  // positions travel as int32

// The names that Llama's checkpoints gave to the tensors of a block.
std::vector<WeightSpec> weights_of(const DecoderBlock& block, std::int64_t hidden) {
  const std::int64_t query = block.heads * block.head_dim;
  const std::int64_t key = block.kv_heads * block.head_dim;
  const std::int64_t wide = block.intermediate;
  using Role = BlockWeight;
  std::vector<WeightSpec> weights = {
      {Role::kAttentionNorm, "input_layernorm", 0, hidden, false},
      {Role::kQuery, "self_attn.q_proj", query, hidden, block.qkv_bias},
      {Role::kKey, "self_attn.k_proj", key, hidden, block.qkv_bias},
      {Role::kValue, "self_attn.v_proj", key, hidden, block.qkv_bias},
      {Role::kAttentionOutput, "self_attn.o_proj", hidden, query, block.output_bias},
  };
  if (block.qk_norm) {
    weights.push_back({Role::kQueryNorm, "self_attn.q_norm", 0, block.head_dim, false});
    weights.push_back({Role::kKeyNorm, "self_attn.k_norm", 0, block.head_dim, false});
  }
  weights.push_back({Role::kMlpNorm, "post_attention_layernorm", 0, hidden, false});
  weights.push_back({Role::kGate, "mlp.gate_proj", wide, hidden, block.mlp_bias});
  weights.push_back({Role::kUp, "mlp.up_proj", wide, hidden, block.mlp_bias});
  weights.push_back({Role::kDown, "mlp.down_proj", hidden, wide, block.mlp_bias});
  return weights;
}

// Replaces what layer_types names otherwise.
void read_layer_types(JsonFields& fields, std::int64_t window, const std::string& architecture,
                      std::vector<std::int64_t>& windows) {
  const nlohmann::json* types = fields.find("layer_types");
  if (types == nullptr || !fields.status().ok()) return;
  if (!types->is_array() || types->size() != windows.size()) {
    fields.fail(absl::InvalidArgumentError(
        absl::StrCat(fields.where(), ": layer_types must be a list of ", windows.size(),
                     " names, one for each of num_hidden_layers")));
    return;
  }
  for (std::size_t i = 0; i < types->size(); ++i) {
    const nlohmann::json& type = (*types)[i];
    const bool full = type == "full_attention" || type == "attention";  // the older name
    const bool sliding = type == "sliding_attention";
    if (full) {
      windows[i] = 0;
    } else if (sliding && window > 0) {
      windows[i] = window;
    } else {
      fields.fail(absl::UnimplementedError(
          absl::StrCat(fields.where(), ": layer_types: ", json_excerpt(type), " for layer ", i,
                       sliding ? " without a sliding window in use"
                               : absl::StrCat(" is not supported for ", architecture))));
      return;
    }
  }
}

void read_special_ids(JsonFields& fields, const DecoderDefaults& defaults, ModelConfig& config) {
  if (!fields.contains("eos_token_id")) {
    if (defaults.eos_id >= 0) config.eos_ids = {defaults.eos_id};
  } else {
    config.eos_ids = fields.token_ids("eos_token_id").value_or(std::vector<std::int32_t>{});
  }
  if (!fields.contains("bos_token_id")) {
    if (defaults.bos_id >= 0) config.bos_id = defaults.bos_id;
  } else if (fields.find("bos_token_id") != nullptr) {
    const std::int64_t id = fields.integer("bos_token_id", std::numeric_limits<std::int32_t>::min(),
                                           std::numeric_limits<std::int32_t>::max());
    if (id >= 0) config.bos_id = static_cast<std::int32_t>(id);  // below 0: none
  }
}

}  // namespace

DecoderBlock read_sizes(JsonFields& fields, const DecoderDefaults& defaults, ModelConfig& config) {
  DecoderBlock block;
  config.hidden = fields.integer("hidden_size", 1, kMaxHidden);
  block.intermediate = fields.integer("intermediate_size", 1, kMaxIntermediate);
  config.block_count = fields.integer("num_hidden_layers", 1, kMaxBlocks);
  config.vocabulary = fields.integer("vocab_size", 1, kMaxVocabulary);
  config.max_positions =
      fields.integer("max_position_embeddings", 1, kMaxPositions, defaults.max_positions);
  config.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps", 0.0, 1.0, 1e-6));
  block.heads = fields.integer("num_attention_heads", 1, kMaxHeads);
  // An explicit null means one key head per query head in all families; only an absent key takes
  // the family's own number.
  const bool kv_default = !fields.contains("num_key_value_heads") && defaults.kv_heads > 0;
  block.kv_heads = fields.integer("num_key_value_heads", 1, kMaxHeads,
                                  kv_default ? defaults.kv_heads : block.heads);
  const bool dim_default = !fields.contains("head_dim") && defaults.head_dim > 0;
  const bool dim_derived = fields.find("head_dim") == nullptr && !dim_default;
  block.head_dim = fields.integer("head_dim", 2, kMaxHeadDim,
                                  dim_default ? defaults.head_dim : config.hidden / block.heads);
  if (!fields.status().ok()) return block;

  const auto refuse = [&](auto... parts) {
    fields.fail(absl::InvalidArgumentError(absl::StrCat(fields.where(), ": ", parts...)));
  };
  if (block.heads % block.kv_heads != 0) {
    refuse("num_attention_heads ", block.heads, " is not a multiple of num_key_value_heads ",
           block.kv_heads);
  }
  if (dim_derived && config.hidden % block.heads != 0) {
    refuse("hidden_size ", config.hidden, " is not a multiple of num_attention_heads ", block.heads,
           " and there is no head_dim");
  }
  if (block.head_dim % 2 != 0 || block.head_dim > kMaxHeadDim) {
    refuse("head_dim ", block.head_dim, " must be even and at most ", kMaxHeadDim);
  }
  return block;
}

std::int64_t read_window(JsonFields& fields, std::int64_t absent) {
  return fields.integer("sliding_window", 1, kMaxPositions,
                        fields.contains("sliding_window") ? 0 : absent);
}

SlidingWindow read_upper_window(JsonFields& fields) {
  SlidingWindow window;
  if (fields.boolean("use_sliding_window", false)) window.positions = read_window(fields, 4096);
  window.first = fields.integer("max_window_layers", std::numeric_limits<std::int32_t>::min(),
                                std::numeric_limits<std::int32_t>::max(), 28);
  return window;
}

void read_blocks(JsonFields& fields, const DecoderBlock& block, SlidingWindow window,
                 ModelConfig& config) {
  std::vector<std::int64_t> windows(static_cast<std::size_t>(config.block_count), 0);
  for (std::int64_t i = std::max<std::int64_t>(window.first, 0); i < config.block_count; ++i) {
    windows[static_cast<std::size_t>(i)] = window.positions;
  }
  read_layer_types(fields, window.positions, config.architecture, windows);
  if (!fields.status().ok()) return;

  BlockSpec spec{
      .norm_eps = config.rms_norm_eps,
      .attention = {.heads = block.heads, .kv_heads = block.kv_heads, .head_dim = block.head_dim},
      .mlp = DenseMlp{.intermediate = block.intermediate},
      .weights = weights_of(block, config.hidden)};
  for (const std::int64_t positions : windows) {
    const auto same = [&](const BlockSpec& kind) { return kind.attention.window == positions; };
    const auto kind = std::find_if(config.kinds.begin(), config.kinds.end(), same);
    config.block_kinds.push_back(static_cast<std::int32_t>(kind - config.kinds.begin()));
    if (kind != config.kinds.end()) continue;
    spec.attention.window = positions;
    config.kinds.push_back(spec);
  }
}

void read_rest(JsonFields& fields, const DecoderDefaults& defaults, ModelConfig& config) {
  config.tied_embeddings = fields.boolean("tie_word_embeddings", false);
  read_special_ids(fields, defaults, config);
  absl::StatusOr<RopeConfig> rope = parse_rope(fields, config.max_positions, config.warnings);
  if (rope.ok()) {
    config.rope = *std::move(rope);
  } else {
    fields.fail(rope.status());
  }
}

void ignore_bias_flag(JsonFields& fields, const char* key, ModelConfig& config) {
  if (!fields.boolean(key, false)) return;
  config.warnings.push_back(absl::StrCat(fields.where(), ": ", key, " has no effect in ",
                                         config.architecture,
                                         ", which has no such bias in the reference"));
}

}  // namespace shoal::model
