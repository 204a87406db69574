// SPDX-License-Identifier: Apache-2.0
#include "model/weight_check.h"

#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/tensor_list.h"
#include "model/weight_names.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMaxShown = 3;

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

std::set<std::string> names_of(const ModelConfig& config) {
  std::set<std::string> names;
  for (TensorSpec& tensor : end_tensors(config)) names.insert(std::move(tensor.name));
  for (std::int64_t block = 0; block < config.block_count; ++block) {
    for (TensorSpec& tensor : block_tensors(config, block)) names.insert(std::move(tensor.name));
  }
  return names;
}

std::string shortened(const std::string& name) {
  constexpr std::size_t kMaxBytes = 100;
  return absl::CHexEscape(name.size() > kMaxBytes ? name.substr(0, kMaxBytes) + "..." : name);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> check_weights(const ModelConfig& config,
                                                       const Checkpoint& checkpoint) {
  const std::string quantization = quantization_of(checkpoint.tensors());
  if (!quantization.empty()) {
    return absl::UnimplementedError(absl::StrCat(
        checkpoint.where(), ": the weights are quantized (", quantization,
        "), though config.json has no quantization_config; quantized weights are not supported: "
        "take the model in bf16, f16 or f32"));
  }
  const std::set<std::string> names = names_of(config);
  std::vector<std::string> strangers;
  for (const auto& [name, info] : checkpoint.tensors()) {
    if (names.contains(name)) continue;
    if (const std::string_view other = other_model(name); !other.empty()) {
      return absl::UnimplementedError(absl::StrCat(checkpoint.where(), ": tensor ", shortened(name),
                                                   " belongs to ", std::string(other),
                                                   "; that is not supported"));
    }
    // Older exports keep the rotary frequencies as a tensor; they are computed from config.json.
    if (std::string_view(name).ends_with("rotary_emb.inv_freq")) continue;
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

absl::Status check_mma(const ModelConfig& config, const Checkpoint& checkpoint) {
  for (std::int64_t block = 0; block < config.block_count; ++block) {
    for (const TensorSpec& tensor : block_tensors(config, block)) {
      const auto found = checkpoint.tensors().find(tensor.name);
      if (tensor.shape.size() != 2 || found == checkpoint.tensors().end() ||
          found->second.dtype == "BF16" || found->second.dtype == "F16") {
        continue;
      }
      return absl::FailedPreconditionError(absl::StrCat(
          "--compute mma takes weights that are stored as bf16 or f16, and ",
          shortened(tensor.name), " of ", checkpoint.where(), " is ",
          absl::AsciiStrToLower(found->second.dtype), ": leave it at --compute exact"));
    }
  }
  return absl::OkStatus();
}

}  // namespace shoal::model
