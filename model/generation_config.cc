// SPDX-License-Identifier: Apache-2.0
#include "model/generation_config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/json_fields.h"
#include "model/json_text.h"

namespace shoal::model {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxBytes = 4u << 20;
constexpr std::int64_t kMaxTokens = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kMaxSequences = 1 << 16;
constexpr std::size_t kMaxIds = 1 << 17;  // Whisper suppresses hundreds
constexpr std::size_t kMaxStops = 1024;

// What changes the text in the reference and is not done here, with the values that switch it off
// (null always does).
struct Ignored {
  const char* key;
  double off;  // NaN: only null, false and empty ones
};
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::array kIgnored = {
    Ignored{"num_beams", 1},
    Ignored{"num_beam_groups", 1},
    Ignored{"num_return_sequences", 1},
    Ignored{"penalty_alpha", 0},
    Ignored{"guidance_scale", 1},
    Ignored{"watermarking_config", kNone},
    Ignored{"dola_layers", kNone},
    Ignored{"constraints", kNone},
    Ignored{"force_words_ids", kNone},
    Ignored{"forced_decoder_ids", kNone},
    Ignored{"token_healing", 0},
    Ignored{"max_time", kNone},
};

bool is_off(const json& value, double off) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_structured() || value.is_string()) return value.empty();
  return value.is_number() && value.get<double>() == off;
}

// Reads lists of ids and the like; the first thing that is wrong becomes the fields' failure.
class Lists {
 public:
  explicit Lists(JsonFields& fields) : fields_(fields) {}

  std::vector<std::int32_t> ids(const char* key) {
    std::vector<std::int32_t> result;
    const json* value = fields_.find(key);
    if (value != nullptr && !read_ids(value->is_array() ? *value : json::array({*value}), result)) {
      refuse(key, "a token id or a list of token ids", *value);
    }
    return result;
  }

  std::vector<std::vector<std::int32_t>> sequences(const char* key) {
    std::vector<std::vector<std::int32_t>> result;
    const json* value = fields_.find(key);
    if (value == nullptr) return result;
    bool good = value->is_array() && value->size() <= kMaxSequences;
    for (std::size_t i = 0; good && i < value->size(); ++i) {
      std::vector<std::int32_t> sequence;
      good = (*value)[i].is_array() && read_ids((*value)[i], sequence);
      if (!sequence.empty()) result.push_back(std::move(sequence));
    }
    if (!good) refuse(key, "a list of lists of token ids", *value);
    return result;
  }

  // [[[id, ...], bias], ...]
  std::vector<SequenceBias> biases(const char* key) {
    std::vector<SequenceBias> result;
    const json* value = fields_.find(key);
    if (value == nullptr) return result;
    bool good = value->is_array() && value->size() <= kMaxSequences;
    for (std::size_t i = 0; good && i < value->size(); ++i) {
      const json& item = (*value)[i];
      SequenceBias bias;
      good = item.is_array() && item.size() == 2 && item[0].is_array() && item[1].is_number() &&
             read_ids(item[0], bias.ids) && !bias.ids.empty();
      if (good) bias.bias = item[1].get<double>();
      good = good && bias.bias < std::numeric_limits<double>::infinity();  // false for NaN
      result.push_back(std::move(bias));
    }
    if (!good) refuse(key, "a list of [[token ids], number]", *value);
    return result;
  }

  std::vector<std::string> texts(const char* key) {
    std::vector<std::string> result;
    const json* value = fields_.find(key);
    if (value == nullptr) return result;
    const json list = value->is_array() ? *value : json::array({*value});
    bool good = list.size() <= kMaxStops;
    for (std::size_t i = 0; good && i < list.size(); ++i) {
      good = list[i].is_string();
      if (good) result.push_back(list[i].get<std::string>());
    }
    if (!good) refuse(key, "a text or a list of texts", *value);
    return result;
  }

  void refuse(const char* key, const char* expected, const json& value) {
    fields_.fail(absl::InvalidArgumentError(absl::StrCat(fields_.where(), ": ", key, " must be ",
                                                         expected, ", not ", json_excerpt(value))));
  }

 private:
  static bool read_ids(const json& list, std::vector<std::int32_t>& ids) {
    if (list.size() > kMaxIds) return false;
    for (const json& item : list) {
      if (!item.is_number_integer()) return false;
      const auto id = item.get<std::int64_t>();
      if (id > kMaxTokens || (item.is_number_unsigned() && id < 0)) return false;
      if (id >= 0) ids.push_back(static_cast<std::int32_t>(id));  // below 0: none
    }
    return true;
  }

  JsonFields& fields_;
};

void read_rules(JsonFields& fields, ScoreRules& rules) {
  Lists lists(fields);
  rules.sequence_bias = lists.biases("sequence_bias");
  rules.encoder_repetition_penalty = fields.number("encoder_repetition_penalty", 1e-3, 1e3, 1.0);
  rules.no_repeat_ngram_size = fields.integer("no_repeat_ngram_size", 0, kMaxTokens, 0);
  rules.encoder_no_repeat_ngram_size =
      fields.integer("encoder_no_repeat_ngram_size", 0, kMaxTokens, 0);
  rules.bad_words = lists.sequences("bad_words_ids");
  rules.min_length = fields.integer("min_length", 0, kMaxTokens, 0);
  rules.min_new_tokens = fields.integer("min_new_tokens", 0, kMaxTokens, 0);
  const std::vector<std::int32_t> forced = lists.ids("forced_bos_token_id");
  if (forced.size() > 1) {
    lists.refuse("forced_bos_token_id", "one token id", *fields.find("forced_bos_token_id"));
  } else if (!forced.empty()) {
    rules.forced_bos = forced.front();
  }
  rules.forced_eos = lists.ids("forced_eos_token_id");
  if (const json* decay = fields.find("exponential_decay_length_penalty")) {
    const bool good = decay->is_array() && decay->size() == 2 && (*decay)[0].is_number_integer() &&
                      (*decay)[1].is_number() && (*decay)[0].get<std::int64_t>() >= 0 &&
                      (*decay)[0].get<std::int64_t>() <= kMaxTokens &&
                      (*decay)[1].get<double>() > 0 && (*decay)[1].get<double>() <= 1e3;
    if (good) {
      rules.decay_start = (*decay)[0].get<std::int64_t>();
      rules.decay_factor = (*decay)[1].get<double>();
    } else {
      lists.refuse("exponential_decay_length_penalty", "[tokens, factor above 0]", *decay);
    }
  }
  rules.suppressed = lists.ids("suppress_tokens");
  rules.begin_suppressed = lists.ids("begin_suppress_tokens");
}

std::vector<std::string> ignored(JsonFields& fields) {
  std::vector<std::string> names;
  for (const Ignored& candidate : kIgnored) {
    const json* value = fields.find(candidate.key);
    if (value != nullptr && !is_off(*value, candidate.off)) names.emplace_back(candidate.key);
  }
  return names;
}

}  // namespace

bool ScoreRules::any() const {
  return !sequence_bias.empty() || encoder_repetition_penalty != 1.0 || no_repeat_ngram_size > 0 ||
         encoder_no_repeat_ngram_size > 0 || !bad_words.empty() || min_length > 0 ||
         min_new_tokens > 0 || forced_bos || !forced_eos.empty() || decay_start >= 0 ||
         !suppressed.empty() || !begin_suppressed.empty();
}

absl::StatusOr<GenerationConfig> load_generation_config(const std::string& directory) {
  const std::string path = directory + "/generation_config.json";
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) return GenerationConfig{};
  if (!text.ok()) return text.status();
  const absl::StatusOr<json> object = parse_json_object(*text, path);
  if (!object.ok()) return object.status();

  JsonFields fields(*object, path);
  GenerationConfig config;
  config.do_sample = fields.boolean("do_sample", false);
  config.temperature = fields.number("temperature", 0.0, 100.0, 1.0);
  // -1 is another habit of writing "off".
  config.top_k = fields.integer("top_k", -1, kMaxTokens, 0);
  if (config.top_k < 0) config.top_k = 0;
  config.top_p = fields.number("top_p", 0.0, 1.0, 1.0);
  config.min_p = fields.number("min_p", 0.0, 1.0, 0.0);
  config.top_h = fields.number("top_h", 0.0, 1.0, 0.0);
  config.typical_p = fields.number("typical_p", 0.0, 1.0, 1.0);
  if (config.typical_p == 0.0) config.typical_p = 1.0;
  config.epsilon_cutoff = fields.number("epsilon_cutoff", 0.0, 1.0, 0.0);
  if (config.epsilon_cutoff == 1.0) config.epsilon_cutoff = 0.0;  // as in the reference
  config.eta_cutoff = fields.number("eta_cutoff", 0.0, 1.0, 0.0);
  if (config.eta_cutoff == 1.0) config.eta_cutoff = 0.0;
  config.repetition_penalty = fields.number("repetition_penalty", 1e-3, 1e3, 1.0);
  read_rules(fields, config.rules);
  if (fields.find("max_new_tokens") != nullptr) {
    config.max_new_tokens = fields.integer("max_new_tokens", 1, kMaxTokens);
  }
  if (fields.find("max_length") != nullptr) {
    config.max_length = fields.integer("max_length", 0, kMaxTokens);
  }
  config.stop_strings = Lists(fields).texts("stop_strings");
  config.eos_ids = fields.token_ids("eos_token_id").value_or(std::vector<std::int32_t>{});
  if (!fields.status().ok()) return fields.status();
  if (const std::vector<std::string> names = ignored(fields); !names.empty()) {
    config.warnings.push_back(absl::StrCat("ignores ", absl::StrJoin(names, ", "), " of ", path));
  }
  return config;
}

}  // namespace shoal::model
