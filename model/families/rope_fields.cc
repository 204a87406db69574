// SPDX-License-Identifier: Apache-2.0
#include "model/families/rope_fields.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace shoal::model {
namespace {

using nlohmann::json;

constexpr double kMaxTheta = 1e15;
constexpr double kMaxFactor = 1e6;
constexpr double kDefaultTheta = 10000.0;
constexpr double kTiny = 1e-6;
constexpr std::int64_t kMaxOriginalPositions = std::int64_t{1} << 40;

// All keys that the four types have in transformers; "finetuned" is a note that nothing reads.
constexpr std::array<std::string_view, 15> kKnownKeys = {"rope_type",
                                                         "type",
                                                         "rope_theta",
                                                         "factor",
                                                         "original_max_position_embeddings",
                                                         "low_freq_factor",
                                                         "high_freq_factor",
                                                         "beta_fast",
                                                         "beta_slow",
                                                         "attention_factor",
                                                         "mscale",
                                                         "mscale_all_dim",
                                                         "truncate",
                                                         "partial_rotary_factor",
                                                         "finetuned"};

constexpr std::size_t kMostNamed = 5;  // keys, in one line
constexpr const char* kSupportedTypes = " (supported: default, linear, llama3, yarn)";

// Lines about what is taken otherwise than it stands, each once.
class Notes {
 public:
  Notes(std::string where, std::vector<std::string>& warnings)
      : where_(std::move(where)), warnings_(warnings) {}

  const std::string& where() const { return where_; }
  void add(const std::string& what) {
    const std::string line = absl::StrCat(where_, ": ", what, ", as in the reference");
    if (std::find(warnings_.begin(), warnings_.end(), line) == warnings_.end()) {
      warnings_.push_back(line);
    }
  }

 private:
  const std::string where_;
  std::vector<std::string>& warnings_;
};

// What stands beside the object, in config.json itself.
struct Outer {
  std::optional<double> theta;
  std::int64_t original_max_positions = 0;  // 0: not given
  std::int64_t max_positions = 0;
};

absl::StatusOr<RopeConfig::Type> parse_type(JsonFields& fields, Notes& notes) {
  const std::string new_name = fields.text("rope_type", "");
  const std::string old_name = fields.text("type", "");
  if (!fields.status().ok()) return fields.status();
  if (!new_name.empty() && !old_name.empty() && new_name != old_name) {
    notes.add(absl::StrCat("rope_type ", json_excerpt(new_name), " and type ",
                           json_excerpt(old_name), " differ: rope_type is followed"));
  }
  const std::string name = !new_name.empty() ? new_name : old_name;
  if (name.empty() || name == "default") return RopeConfig::Type::kDefault;
  if (name == "linear") return RopeConfig::Type::kLinear;
  if (name == "llama3") return RopeConfig::Type::kLlama3;
  if (name == "yarn") return RopeConfig::Type::kYarn;
  return absl::UnimplementedError(absl::StrCat(
      fields.where(), ": ", name == "mrope" ? "multimodal " : "", "RoPE scaling ",
      json_excerpt(name), name == "su" ? " (longrope)" : "", " is not supported", kSupportedTypes));
}

// Zero means "not given" in the reference for these.
double number_or(JsonFields& fields, const char* key, double fallback) {
  const double value = fields.number(key, 0.0, kMaxFactor, fallback);
  return value == 0.0 ? fallback : value;
}

// Of the whole model, or `nested`: of one type of layers.
absl::StatusOr<RopeConfig> parse_scaling(const json& object, const Outer& outer, bool nested,
                                         Notes& notes) {
  const std::string& where = notes.where();
  JsonFields fields(object, where);
  const absl::StatusOr<RopeConfig::Type> type = parse_type(fields, notes);
  if (!type.ok()) return type.status();
  if (fields.find("mrope_section") != nullptr) {
    return absl::UnimplementedError(
        absl::StrCat(where, ": multimodal RoPE (mrope_section) is not supported", kSupportedTypes));
  }
  std::vector<std::string> unknown;
  for (const auto& [key, value] : object.items()) {
    if (value.is_null() || std::count(kKnownKeys.begin(), kKnownKeys.end(), key) > 0) continue;
    unknown.push_back(json_excerpt(key));
  }
  if (!unknown.empty()) {
    const std::size_t more = unknown.size() - std::min(unknown.size(), kMostNamed);
    unknown.resize(unknown.size() - more);
    notes.add(absl::StrCat(absl::StrJoin(unknown, ", "),
                           more == 0 ? "" : absl::StrCat(" and ", more, " more"),
                           " without effect"));
  }

  RopeConfig rope;
  rope.type = *type;
  rope.theta =
      fields.number("rope_theta", 1.0 + kTiny, kMaxTheta, outer.theta.value_or(kDefaultTheta));
  if (outer.theta && rope.theta != *outer.theta) {
    notes.add(absl::StrCat("rope_theta ", rope.theta, " is followed, not ", *outer.theta,
                           " outside of it"));
  }
  if (fields.number("partial_rotary_factor", 0.0, 1.0, 1.0) != 1.0) {
    fields.fail(absl::UnimplementedError(
        absl::StrCat(where, ": partial_rotary_factor other than 1 is not supported")));
  }
  if (rope.type == RopeConfig::Type::kDefault) {
    if (!fields.status().ok()) return fields.status();
    return rope;
  }
  if (rope.type == RopeConfig::Type::kLinear) {
    rope.factor = fields.number("factor", kTiny, kMaxFactor);
    if (!fields.status().ok()) return fields.status();
    return rope;
  }

  const std::int64_t inner =
      fields.integer("original_max_position_embeddings", 0, kMaxOriginalPositions, 0);
  const std::int64_t outside = nested ? 0 : outer.original_max_positions;
  if (inner > 0 && outside > 0 && inner != outside) {
    notes.add(absl::StrCat("original_max_position_embeddings ", outside,
                           " outside of it is followed, not ", inner));
  }
  rope.original_max_positions = outside > 0 ? outside : inner > 0 ? inner : outer.max_positions;

  if (rope.type == RopeConfig::Type::kLlama3) {
    rope.factor = fields.number("factor", kTiny, kMaxFactor);
    rope.low_freq_factor = fields.number("low_freq_factor", kTiny, kMaxFactor);
    rope.high_freq_factor = fields.number("high_freq_factor", kTiny, kMaxFactor);
    if (fields.status().ok() && rope.high_freq_factor <= rope.low_freq_factor) {
      fields.fail(absl::InvalidArgumentError(
          absl::StrCat(where, ": high_freq_factor must be greater than low_freq_factor")));
    }
  } else {
    // A missing factor is the ratio of the two context lengths (DeepSeek writes it so).
    const double ratio =
        static_cast<double>(outer.max_positions) / static_cast<double>(rope.original_max_positions);
    rope.factor = fields.number("factor", kTiny, kMaxFactor, ratio);
    rope.beta_fast = number_or(fields, "beta_fast", 32.0);
    rope.beta_slow = number_or(fields, "beta_slow", 1.0);
    rope.attention_factor = fields.optional_number("attention_factor", kTiny, kMaxFactor);
    rope.mscale = fields.optional_number("mscale", 0.0, kMaxFactor);
    rope.mscale_all_dim = fields.optional_number("mscale_all_dim", 0.0, kMaxFactor);
    rope.truncate = fields.boolean("truncate", true);
  }
  if (!fields.status().ok()) return fields.status();
  return rope;
}

bool same_rope(const RopeConfig& a, const RopeConfig& b) {
  return a.type == b.type && a.theta == b.theta && a.factor == b.factor &&
         a.low_freq_factor == b.low_freq_factor && a.high_freq_factor == b.high_freq_factor &&
         a.beta_fast == b.beta_fast && a.beta_slow == b.beta_slow &&
         a.attention_factor == b.attention_factor && a.mscale == b.mscale &&
         a.mscale_all_dim == b.mscale_all_dim && a.truncate == b.truncate &&
         a.original_max_positions == b.original_max_positions;
}

bool is_per_layer_type(const json& object) {
  return !object.empty() &&
         std::all_of(object.begin(), object.end(), [](const json& v) { return v.is_object(); });
}

}  // namespace

absl::StatusOr<RopeConfig> parse_rope(JsonFields& config, std::int64_t max_positions,
                                      std::vector<std::string>& warnings) {
  Outer outer;
  outer.theta = config.optional_number("rope_theta", 1.0 + kTiny, kMaxTheta);
  outer.original_max_positions =
      config.integer("original_max_position_embeddings", 0, kMaxOriginalPositions, 0);
  outer.max_positions = max_positions;
  if (!config.status().ok()) return config.status();

  RopeConfig result;
  result.theta = outer.theta.value_or(kDefaultTheta);
  const json* followed = nullptr;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* value = config.find(key);
    if (value == nullptr) continue;
    Notes notes(absl::StrCat(config.where(), ": ", key), warnings);
    if (!value->is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(notes.where(), " must be an object, not ", json_excerpt(*value)));
    }
    if (value->empty()) continue;
    if (followed != nullptr) {
      if (*value != *followed) notes.add("rope_scaling is followed, which is another");
      continue;
    }
    followed = value;
    const bool nested = is_per_layer_type(*value);
    const json whole = json::array({*value});
    bool is_first = true;
    for (const json& part : nested ? *value : whole) {
      const absl::StatusOr<RopeConfig> rope = parse_scaling(part, outer, nested, notes);
      if (!rope.ok()) return rope.status();
      if (!std::exchange(is_first, false) && !same_rope(result, *rope)) {
        return absl::UnimplementedError(
            absl::StrCat(notes.where(),
                         ": more than one kind of rotary embedding in one model is not supported"));
      }
      result = *rope;
    }
  }
  return result;
}

}  // namespace shoal::model
