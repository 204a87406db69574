// SPDX-License-Identifier: Apache-2.0
#include "model/families/features.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace shoal::model {
namespace {

using nlohmann::json;

struct Feature {
  const char* key;
  const char* what;
};

constexpr const char* kQuantized = "quantized weights";

// Neutral when absent, null, false, 0, or empty.
constexpr std::array kOff = {
    Feature{"quantization_config", kQuantized},
    Feature{"compression_config", kQuantized},
    Feature{"num_local_experts", "mixture of experts"},
    Feature{"num_experts", "mixture of experts"},
    Feature{"n_routed_experts", "mixture of experts"},
    Feature{"num_experts_per_tok", "mixture of experts"},
    Feature{"attn_logit_softcapping", "attention soft-capping"},
    Feature{"final_logit_softcapping", "logit soft-capping"},
    Feature{"attention_chunk_size", "chunked attention"},
    Feature{"query_pre_attn_scalar", "another attention scale"},
    Feature{"clip_qkv", "clipped attention inputs"},
    Feature{"alibi", "ALiBi positions"},
    Feature{"use_alibi", "ALiBi positions"},
    Feature{"parallel_attn", "parallel attention"},
    Feature{"use_parallel_residual", "parallel attention"},
    Feature{"rope_interleaved", "interleaved rotary embedding"},
    Feature{"no_rope_layers", "layers without rotary embedding"},
    Feature{"no_rope_layer_interval", "layers without rotary embedding"},
    Feature{"rope_local_base_freq", "two rotary embeddings"},
    Feature{"kv_lora_rank", "multi-head latent attention"},
    Feature{"attention_sinks", "attention sinks"},
    Feature{"pruned_heads", "pruned heads"},
    Feature{"is_encoder_decoder", "encoder-decoder models"},
    Feature{"add_cross_attention", "cross attention"},
    Feature{"use_qk_norm", "q/k norm"},
    Feature{"qk_norm", "q/k norm"},
    Feature{"qk_layernorm", "q/k norm"},
};

// Neutral when absent, null or 1.
constexpr std::array kOne = {
    Feature{"partial_rotary_factor", "rotary embedding of a part of a head"},
    Feature{"rotary_pct", "rotary embedding of a part of a head"},
    Feature{"attention_multiplier", "scaled attention"},
    Feature{"residual_multiplier", "a scaled residual stream"},
    Feature{"embedding_multiplier", "scaled embeddings"},
    Feature{"scale_emb", "scaled embeddings"},
    Feature{"scale_depth", "a scaled residual stream"},
    Feature{"logits_scaling", "scaled logits"},
    Feature{"logit_scale", "scaled logits"},
    Feature{"lm_head_multiplier", "scaled logits"},
};

bool is_off(const json& value) {
  return value == false || value == 0 || (value.is_structured() && value.empty());
}

absl::Status refusal(const JsonFields& fields, const Feature& feature, const json& value) {
  return absl::UnimplementedError(absl::StrCat(fields.where(), ": ", feature.key, " = ",
                                               json_excerpt(value), " (", feature.what,
                                               ") is not supported"));
}

absl::Status quantized(const JsonFields& fields, const char* key, const json& value) {
  const auto method = value.find("quant_method");
  return absl::UnimplementedError(
      absl::StrCat(fields.where(), ": ", key, " says that the weights are quantized",
                   method == value.end() ? "" : absl::StrCat(" (", json_excerpt(*method), ")"),
                   "; quantized weights are not supported: take the model in bf16, f16 or f32"));
}

absl::Status first_unsupported(const JsonFields& fields,
                               std::span<const std::string_view> computed) {
  const auto find = [&](const char* key) {
    const bool ours = std::count(computed.begin(), computed.end(), key) > 0;
    return ours ? nullptr : fields.find(key);
  };
  for (const Feature& feature : kOff) {
    const json* value = find(feature.key);
    if (value == nullptr || is_off(*value)) continue;
    if (std::string_view(feature.what) == kQuantized && value->is_object()) {
      return quantized(fields, feature.key, *value);
    }
    return refusal(fields, feature, *value);
  }
  for (const Feature& feature : kOne) {
    const json* value = find(feature.key);
    if (value != nullptr && *value != 1) return refusal(fields, feature, *value);
  }
  for (const char* key : {"hidden_act", "hidden_activation"}) {
    const json* value = find(key);
    if (value != nullptr && *value != "silu" && *value != "swish") {
      return refusal(fields, Feature{key, "an activation other than silu"}, *value);
    }
  }
  if (const json* value = find("position_embedding_type");
      value != nullptr && *value != "rotary" && *value != "rope") {
    return refusal(fields, Feature{"position_embedding_type", "positions other than rotary"},
                   *value);
  }
  if (const json* map = find("auto_map"); map != nullptr && map->is_object()) {
    for (const auto& [key, value] : map->items()) {
      // AutoTokenizer and AutoConfig do not change the mathematics, a model class of its own may.
      if (key.rfind("AutoModel", 0) == 0) {
        return refusal(fields, Feature{"auto_map", "a model with its own code"}, value);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

void refuse_unsupported_features(JsonFields& fields, std::span<const std::string_view> computed) {
  fields.fail(first_unsupported(fields, computed));
}

}  // namespace shoal::model
