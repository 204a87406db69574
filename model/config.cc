// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/config_features.h"
#include "model/config_rope.h"
#include "model/file_kind.h"
#include "model/json_fields.h"
#include "model/json_text.h"

namespace shoal::model {
namespace {

using nlohmann::json;

// Far above every model we know of (Llama-405B: 16384 wide, 53248, 126 blocks), far below what
// could overflow a product of two.
constexpr std::int64_t kMaxHidden = 65'536;
constexpr std::int64_t kMaxIntermediate = 1 << 20;
constexpr std::int64_t kMaxBlocks = 4096;
constexpr std::int64_t kMaxHeads = 1024;
constexpr std::int64_t kMaxHeadDim = 1024;
constexpr std::int64_t kMaxVocabulary = 1 << 24;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 30;  // positions travel as int32
constexpr std::size_t kMaxConfigBytes = 16u << 20;

// What transformers' configuration classes assume for a key that is absent; 0: derived.
struct Family {
  std::string_view architecture;
  std::string_view model_type;
  std::string_view base;  // the architecture without a head, as its own class saves it
  std::int64_t kv_heads, head_dim, max_positions;
  std::int32_t bos_id, eos_id;  // -1: none
};
constexpr std::array<Family, 4> kFamilies = {{
    {"LlamaForCausalLM", "llama", "LlamaModel", 0, 0, 2048, 1, 2},
    {"MistralForCausalLM", "mistral", "MistralModel", 8, 0, 131'072, 1, 2},
    {"Qwen2ForCausalLM", "qwen2", "Qwen2Model", 32, 0, 32'768, -1, -1},
    {"Qwen3ForCausalLM", "qwen3", "Qwen3Model", 32, 128, 32'768, -1, -1},
}};
constexpr const char* kSupported =
    "supported: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM";

// A name from the file without quotation marks, bounded.
std::string excerpt_of(const std::string& name) {
  const std::string text = json_excerpt(name);
  return text.substr(1, text.size() - (text.back() == '"' ? 2 : 1));
}

absl::StatusOr<Family> find_family(JsonFields& fields) {
  const std::string model_type = fields.text("model_type", "");
  std::string architecture;
  if (const json* list = fields.find("architectures"); list != nullptr) {
    if (!list->is_array() || list->size() != 1 || !list->front().is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(
          fields.where(), ": architectures must be a list of one name, not ", json_excerpt(*list)));
    }
    architecture = list->front().get<std::string>();
  }
  if (!fields.status().ok()) return fields.status();
  if (architecture.empty() && model_type.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(fields.where(), ": neither architectures nor model_type is there; is this a ",
                     "language model's config.json? (", kSupported, ")"));
  }
  for (const Family& family : kFamilies) {
    const bool named = architecture == family.architecture;
    const bool typed = model_type == family.model_type;
    if (named && !typed && !model_type.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(fields.where(), ": architecture ",
                                                     architecture, " and model_type \"", model_type,
                                                     "\" contradict"));
    }
    if (named || (typed && (architecture.empty() || architecture == family.base))) return family;
  }
  return absl::UnimplementedError(
      absl::StrCat(fields.where(), ": architecture ",
                   architecture.empty() ? absl::StrCat("of model_type ", json_excerpt(model_type))
                                        : excerpt_of(architecture),
                   " is not supported (", kSupported, ")"));
}

void read_sizes(JsonFields& fields, const Family& family, ModelConfig& config) {
  config.hidden = fields.integer("hidden_size", 1, kMaxHidden);
  config.intermediate = fields.integer("intermediate_size", 1, kMaxIntermediate);
  config.block_count = fields.integer("num_hidden_layers", 1, kMaxBlocks);
  config.vocabulary = fields.integer("vocab_size", 1, kMaxVocabulary);
  config.max_positions =
      fields.integer("max_position_embeddings", 1, kMaxPositions, family.max_positions);
  config.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps", 0.0, 1.0, 1e-6));
  config.heads = fields.integer("num_attention_heads", 1, kMaxHeads);
  // An explicit null means one key head per query head in all families; only an absent key takes
  // the family's own number.
  const bool kv_default = !fields.contains("num_key_value_heads") && family.kv_heads > 0;
  config.kv_heads = fields.integer("num_key_value_heads", 1, kMaxHeads,
                                   kv_default ? family.kv_heads : config.heads);
  const bool dim_default = !fields.contains("head_dim") && family.head_dim > 0;
  const bool dim_derived = fields.find("head_dim") == nullptr && !dim_default;
  config.head_dim = fields.integer("head_dim", 2, kMaxHeadDim,
                                   dim_default ? family.head_dim : config.hidden / config.heads);
  if (!fields.status().ok()) return;

  const auto refuse = [&](auto... parts) {
    fields.fail(absl::InvalidArgumentError(absl::StrCat(fields.where(), ": ", parts...)));
  };
  if (config.heads % config.kv_heads != 0) {
    refuse("num_attention_heads ", config.heads, " is not a multiple of num_key_value_heads ",
           config.kv_heads);
  }
  if (dim_derived && config.hidden % config.heads != 0) {
    refuse("hidden_size ", config.hidden, " is not a multiple of num_attention_heads ",
           config.heads, " and there is no head_dim");
  }
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    refuse("head_dim ", config.head_dim, " must be even and at most ", kMaxHeadDim);
  }
}

// [block_count] windows. Mistral slides everywhere, Qwen from max_window_layers on; layer_types is
// stronger than both.
void read_windows(JsonFields& fields, const Family& family, ModelConfig& config) {
  config.sliding_window.assign(static_cast<std::size_t>(config.block_count), 0);
  const bool qwen = family.model_type == "qwen2" || family.model_type == "qwen3";
  const bool mistral = family.model_type == "mistral";
  std::int64_t window = 0;
  if (mistral || (qwen && fields.boolean("use_sliding_window", false))) {
    const bool absent = !fields.contains("sliding_window");
    window = fields.integer("sliding_window", 1, kMaxPositions, absent ? 4096 : 0);
  }
  const std::int64_t first_sliding =
      qwen ? fields.integer("max_window_layers", std::numeric_limits<std::int32_t>::min(),
                            std::numeric_limits<std::int32_t>::max(), 28)
           : 0;
  for (std::int64_t i = std::max<std::int64_t>(first_sliding, 0); i < config.block_count; ++i) {
    config.sliding_window[static_cast<std::size_t>(i)] = window;
  }

  const json* types = fields.find("layer_types");
  if (types == nullptr || !fields.status().ok()) return;
  if (!types->is_array() || types->size() != config.sliding_window.size()) {
    fields.fail(absl::InvalidArgumentError(
        absl::StrCat(fields.where(), ": layer_types must be a list of ", config.block_count,
                     " names, one for each of num_hidden_layers")));
    return;
  }
  std::int64_t first_full = -1;
  for (std::size_t i = 0; i < types->size(); ++i) {
    const json& type = (*types)[i];
    const bool full = type == "full_attention" || type == "attention";  // the older name
    const bool sliding = type == "sliding_attention";
    if (full) {
      if (mistral && window > 0 && first_full < 0) first_full = static_cast<std::int64_t>(i);
      config.sliding_window[i] = 0;
    } else if (sliding && window > 0) {
      config.sliding_window[i] = window;
    } else {
      fields.fail(absl::UnimplementedError(absl::StrCat(
          fields.where(), ": layer_types: ", json_excerpt(type), " for layer ", i,
          sliding ? " without a sliding window in use"
                  : absl::StrCat(" is not supported for ", std::string(family.architecture)))));
      return;
    }
  }
  if (first_full >= 0) {
    config.warnings.push_back(absl::StrCat(
        fields.where(), ": layer_types says \"full_attention\" for layer ", first_full, ", where ",
        std::string(family.architecture), " slides by itself (sliding_window ", window,
        "): layer_types is followed, as in the reference"));
  }
}

void read_flags(JsonFields& fields, const Family& family, ModelConfig& config) {
  const bool llama = family.model_type == "llama";
  const bool qwen2 = family.model_type == "qwen2";
  const bool qwen3 = family.model_type == "qwen3";
  const bool attention_bias = fields.boolean("attention_bias", false);
  const bool mlp_bias = fields.boolean("mlp_bias", false);
  config.qkv_bias = qwen2 || ((llama || qwen3) && attention_bias);
  config.output_bias = (llama || qwen3) && attention_bias;
  config.mlp_bias = llama && mlp_bias;
  config.qk_norm = qwen3;
  config.tied_embeddings = fields.boolean("tie_word_embeddings", false);
  const auto without = [&](const char* flag) {
    config.warnings.push_back(absl::StrCat(fields.where(), ": ", flag, " has no effect in ",
                                           std::string(family.architecture),
                                           ", which has no such bias in the reference"));
  };
  if (attention_bias && family.model_type == "mistral") without("attention_bias");
  if (mlp_bias && !llama) without("mlp_bias");
}

void read_special_ids(JsonFields& fields, const Family& family, ModelConfig& config) {
  if (!fields.contains("eos_token_id")) {
    if (family.eos_id >= 0) config.eos_ids = {family.eos_id};
  } else {
    config.eos_ids = fields.token_ids("eos_token_id").value_or(std::vector<std::int32_t>{});
  }
  if (!fields.contains("bos_token_id")) {
    if (family.bos_id >= 0) config.bos_id = family.bos_id;
  } else if (fields.find("bos_token_id") != nullptr) {
    const std::int64_t id = fields.integer("bos_token_id", std::numeric_limits<std::int32_t>::min(),
                                           std::numeric_limits<std::int32_t>::max());
    if (id >= 0) config.bos_id = static_cast<std::int32_t>(id);  // below 0: none
  }
}

absl::StatusOr<ModelConfig> parse(const std::string& text, const std::string& where) {
  const absl::StatusOr<json> object = parse_json_object(text, where);
  if (!object.ok()) return object.status();
  JsonFields fields(*object, where);
  const absl::StatusOr<Family> family = find_family(fields);
  if (!family.ok()) return family.status();
  const absl::Status features = refuse_unsupported_features(fields, family->model_type == "qwen3");
  if (!features.ok()) return features;

  ModelConfig config;
  config.architecture = std::string(family->architecture);
  read_sizes(fields, *family, config);
  if (!fields.status().ok()) return fields.status();
  read_flags(fields, *family, config);
  read_windows(fields, *family, config);
  read_special_ids(fields, *family, config);
  absl::StatusOr<RopeConfig> rope = parse_rope(fields, config.max_positions, config.warnings);
  if (!rope.ok()) return rope.status();
  config.rope = *std::move(rope);
  if (!fields.status().ok()) return fields.status();
  return config;
}

}  // namespace

absl::StatusOr<ModelConfig> parse_config(const std::string& json_text) {
  return parse(json_text, "config.json");
}

absl::StatusOr<ModelConfig> load_config(const std::string& directory) {
  constexpr const char* kExpected =
      "; a folder with config.json, *.safetensors and tokenizer.json is expected";
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat("model folder ", directory, " cannot be found", kExpected));
  }
  if (!S_ISDIR(info.st_mode)) {
    const std::string kind = foreign_file(directory);
    return absl::InvalidArgumentError(absl::StrCat("model ", directory, " is not a folder",
                                                   kind.empty() ? kExpected : ", but " + kind));
  }
  const std::string path = directory + "/config.json";
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxConfigBytes);
  if (!text.ok()) {
    const std::string hint = absl::IsNotFound(text.status()) ? folder_hint(directory) : "";
    return absl::Status(text.status().code(),
                        absl::StrCat(text.status().message(), hint.empty() ? kExpected : hint));
  }
  return parse(*text, path);
}

}  // namespace shoal::model
