// SPDX-License-Identifier: Apache-2.0
#include "model/weight_check.h"

#include <charconv>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/weight_names.h"

namespace shoal::model {
namespace {

constexpr std::string_view kLayers = "model.layers.";
constexpr std::size_t kMaxShown = 3;

// "model.layers.7.x.y" to 7 and "x.y".
std::optional<std::pair<std::int64_t, std::string_view>> block_of(std::string_view name) {
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  std::int64_t block = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), block);
  const auto used = static_cast<std::size_t>(end - name.data());
  if (error != std::errc() || used >= name.size() || name[used] != '.') return std::nullopt;
  return std::pair(block, name.substr(used + 1));
}

// Another kind of model, whatever its config.json says.
std::string_view other_model(std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (has(".experts.") || has("block_sparse_moe") || has(".shared_expert")) {
    return "a mixture of experts";
  }
  if (has(".lora_A") || has(".lora_B") || has("lora_embedding")) {
    return "an adapter (LoRA), which must be merged into its base model first";
  }
  return {};
}

std::string shortened(const std::string& name) {
  constexpr std::size_t kMaxBytes = 100;
  return absl::CHexEscape(name.size() > kMaxBytes ? name.substr(0, kMaxBytes) + "..." : name);
}

}  // namespace

std::vector<std::string> block_tensor_names(const ModelConfig& config) {
  std::vector<std::string> names = {"input_layernorm.weight", "post_attention_layernorm.weight"};
  const auto linear = [&](const char* name, bool biased) {
    names.push_back(absl::StrCat(name, ".weight"));
    if (biased) names.push_back(absl::StrCat(name, ".bias"));
  };
  for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) {
    linear(name, config.qkv_bias);
  }
  linear("self_attn.o_proj", config.output_bias);
  for (const char* name : {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    linear(name, config.mlp_bias);
  }
  if (config.qk_norm) {
    names.push_back("self_attn.q_norm.weight");
    names.push_back("self_attn.k_norm.weight");
  }
  return names;
}

absl::StatusOr<std::vector<std::string>> check_weights(const ModelConfig& config,
                                                       const Checkpoint& checkpoint) {
  const std::string quantization = quantization_of(checkpoint.tensors());
  if (!quantization.empty()) {
    return absl::UnimplementedError(absl::StrCat(
        checkpoint.where(), ": the weights are quantized (", quantization,
        "), though config.json has no quantization_config; quantized weights are not supported: "
        "take the model in bf16, f16 or f32"));
  }
  const std::vector<std::string> names = block_tensor_names(config);
  const std::set<std::string_view> of_block(names.begin(), names.end());
  std::vector<std::string> strangers;
  for (const auto& [name, info] : checkpoint.tensors()) {
    if (const std::string_view other = other_model(name); !other.empty()) {
      return absl::UnimplementedError(absl::StrCat(checkpoint.where(), ": tensor ", shortened(name),
                                                   " belongs to ", std::string(other),
                                                   "; that is not supported"));
    }
    // Older exports keep the rotary frequencies as a tensor; they are computed from config.json.
    if (std::string_view(name).ends_with("rotary_emb.inv_freq")) continue;
    if (name == "model.embed_tokens.weight" || name == "model.norm.weight" ||
        name == "lm_head.weight") {
      continue;
    }
    const auto block = block_of(name);
    if (block && block->first < config.block_count && of_block.count(block->second) > 0) continue;
    strangers.push_back(shortened(name));
  }
  if (strangers.empty()) return std::vector<std::string>{};
  std::string list;
  for (std::size_t i = 0; i < strangers.size() && i < kMaxShown; ++i) {
    absl::StrAppend(&list, i == 0 ? "" : ", ", strangers[i]);
  }
  if (strangers.size() > kMaxShown) absl::StrAppend(&list, ", ...");
  return std::vector<std::string>{
      absl::StrCat(checkpoint.where(), ": ", strangers.size(),
                   strangers.size() == 1 ? " tensor has" : " tensors have",
                   " no place in a model of this config.json and ",
                   strangers.size() == 1 ? "is" : "are", " ignored, as in the reference: ", list)};
}

}  // namespace shoal::model
