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

}  // namespace

Configuration configuration_of(const ModelConfig& config) {
  Configuration fields;
  const auto size = [&](const char* name, std::int64_t value) {
    fields[name] = absl::StrCat(value);
  };
  size("hidden", config.hidden);
  size("intermediate", config.intermediate);
  size("blocks", config.block_count);
  size("heads", config.heads);
  size("kv_heads", config.kv_heads);
  size("head_dim", config.head_dim);
  size("vocabulary", config.vocabulary);
  fields["rms_norm_eps"] = exact(config.rms_norm_eps);
  const auto flag = [&](const char* name, bool value) {
    if (value) fields[name] = "yes";
  };
  flag("qkv_bias", config.qkv_bias);
  flag("output_bias", config.output_bias);
  flag("mlp_bias", config.mlp_bias);
  flag("qk_norm", config.qk_norm);
  flag("tied_embeddings", config.tied_embeddings);
  const std::vector<std::int64_t>& windows = config.sliding_window;
  if (std::any_of(windows.begin(), windows.end(), [](std::int64_t w) { return w > 0; })) {
    fields["sliding_window"] = absl::StrJoin(windows, ",");
  }
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
