// SPDX-License-Identifier: Apache-2.0
// The part of a manifest that comes from config.json.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model/manifest.h"

namespace shoal::model {
namespace {

// All digits that tell one number from every other.
std::string exact(double value) { return absl::StrFormat("%.17g", value); }
std::string exact(float value) { return absl::StrFormat("%.9g", static_cast<double>(value)); }

// Only what the type of scaling reads, so that a spelled-out default makes no difference.
void add_rope(Configuration& fields, const RopeConfig& rope) {
  using Type = RopeConfig::Type;
  fields["rope.theta"] = exact(rope.theta);
  if (rope.type == Type::kDefault) return;
  fields["rope.type"] = rope.type == Type::kLinear   ? "linear"
                        : rope.type == Type::kLlama3 ? "llama3"
                                                     : "yarn";
  fields["rope.factor"] = exact(rope.factor);
  if (rope.type == Type::kLinear) return;
  fields["rope.original_positions"] = absl::StrCat(rope.original_max_positions);
  if (rope.type == Type::kLlama3) {
    fields["rope.low_freq_factor"] = exact(rope.low_freq_factor);
    fields["rope.high_freq_factor"] = exact(rope.high_freq_factor);
    return;
  }
  fields["rope.beta_fast"] = exact(rope.beta_fast);
  fields["rope.beta_slow"] = exact(rope.beta_slow);
  if (rope.attention_factor) fields["rope.attention_factor"] = exact(*rope.attention_factor);
  if (rope.mscale) fields["rope.mscale"] = exact(*rope.mscale);
  if (rope.mscale_all_dim) fields["rope.mscale_all_dim"] = exact(*rope.mscale_all_dim);
  if (rope.truncate) fields["rope.truncate"] = "yes";
}

// A kind of block but for its window, which differs from block to block in most models that have
// one.
Configuration describe(const BlockSpec& kind) {
  Configuration fields;
  fields["norm_eps"] = exact(kind.norm_eps);
  fields["heads"] = absl::StrCat(kind.attention.heads);
  fields["kv_heads"] = absl::StrCat(kind.attention.kv_heads);
  fields["head_dim"] = absl::StrCat(kind.attention.head_dim);
  fields["intermediate"] = absl::StrCat(std::get<DenseMlp>(kind.mlp).intermediate);
  fields["weights"] =
      absl::StrJoin(kind.weights, ",", [](std::string* out, const WeightSpec& weight) {
        absl::StrAppend(out, weight.name, weight.bias ? "+bias" : "");
      });
  return fields;
}

void add_blocks(Configuration& fields, const ModelConfig& config) {
  std::vector<Configuration> kinds;  // each once
  std::vector<std::size_t> of_block;
  std::vector<std::int64_t> windows;
  for (std::int64_t i = 0; i < config.block_count; ++i) {
    const BlockSpec& block = config.block(i);
    windows.push_back(block.attention.window);
    const Configuration kind = describe(block);
    const auto found = std::find(kinds.begin(), kinds.end(), kind);
    of_block.push_back(static_cast<std::size_t>(found - kinds.begin()));
    if (found == kinds.end()) kinds.push_back(kind);
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const std::string prefix = kinds.size() == 1 ? "" : absl::StrCat("kind ", i, " ");
    for (const auto& [key, value] : kinds[i]) fields[prefix + key] = value;
  }
  if (kinds.size() > 1) fields["kinds"] = absl::StrJoin(of_block, ",");
  if (std::any_of(windows.begin(), windows.end(), [](std::int64_t w) { return w > 0; })) {
    fields["sliding_window"] = absl::StrJoin(windows, ",");
  }
}

}  // namespace

Configuration configuration_of(const ModelConfig& config) {
  Configuration fields;
  fields["hidden"] = absl::StrCat(config.hidden);
  fields["blocks"] = absl::StrCat(config.block_count);
  fields["vocabulary"] = absl::StrCat(config.vocabulary);
  fields["final_norm_eps"] = exact(config.rms_norm_eps);
  if (config.tied_embeddings) fields["tied_embeddings"] = "yes";
  add_blocks(fields, config);
  add_rope(fields, config.rope);
  return fields;
}

std::string difference(const Configuration& here, const Configuration& there) {
  Configuration all = here;
  all.insert(there.begin(), there.end());
  const auto value = [](const Configuration& fields, const std::string& key) {
    const auto found = fields.find(key);
    return found == fields.end() ? std::string("absent") : found->second;
  };
  for (const auto& [key, ignored] : all) {
    if (value(here, key) != value(there, key)) {
      return absl::StrCat(key, " is ", value(here, key), " here and ", value(there, key), " there");
    }
  }
  return "";
}

}  // namespace shoal::model
