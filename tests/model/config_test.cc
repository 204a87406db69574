// SPDX-License-Identifier: Apache-2.0
// What of a config.json changes the mathematics, and that everything else that would is refused by
// name.
#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace shoal::model {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json llama() {
  return json::parse(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "hidden_act": "silu"})");
}

json of(const char* architecture, const char* model_type) {
  json config = llama();
  config["architectures"] = {architecture};
  config["model_type"] = model_type;
  return config;
}
json mistral() { return of("MistralForCausalLM", "mistral"); }
json qwen2() { return of("Qwen2ForCausalLM", "qwen2"); }
json qwen3() { return of("Qwen3ForCausalLM", "qwen3"); }

json with(json config, const std::string& key, json value) {
  config[key] = std::move(value);
  return config;
}
json without(json config, const std::string& key) {
  config.erase(key);
  return config;
}

ModelConfig good(const json& config) {
  const absl::StatusOr<ModelConfig> parsed = parse_config(config.dump());
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? *parsed : ModelConfig{};
}

std::vector<std::int64_t> windows(const ModelConfig& config) {
  std::vector<std::int64_t> result;
  for (std::int64_t i = 0; i < config.block_count; ++i) {
    result.push_back(config.block(i).attention.window);
  }
  return result;
}

// Of the first block: which weights have a bias, and whether q and k are normed.
struct Traits {
  bool qkv_bias, output_bias, mlp_bias, qk_norm;
};
Traits traits(const ModelConfig& config) {
  const BlockSpec& block = config.block(0);
  const auto biased = [&](BlockWeight role) { return find_weight(block, role)->bias; };
  const bool qkv = biased(BlockWeight::kQuery), mlp = biased(BlockWeight::kGate);
  EXPECT_TRUE(biased(BlockWeight::kKey) == qkv && biased(BlockWeight::kValue) == qkv);
  EXPECT_TRUE(biased(BlockWeight::kUp) == mlp && biased(BlockWeight::kDown) == mlp);
  const bool norm = find_weight(block, BlockWeight::kQueryNorm) != nullptr;
  EXPECT_EQ(find_weight(block, BlockWeight::kKeyNorm) != nullptr, norm);
  return {qkv, biased(BlockWeight::kAttentionOutput), mlp, norm};
}

void expect_text_refused(const std::string& text, const std::string& named) {
  const absl::StatusOr<ModelConfig> parsed = parse_config(text);
  ASSERT_FALSE(parsed.ok()) << text;
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(named));
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("config.json"));
}
void expect_refused(const json& config, const std::string& named) {
  expect_text_refused(config.dump(), named);
}

TEST(Config, ReadsTheSizesOfALlama) {
  const ModelConfig config = good(llama());
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.hidden, 64);
  EXPECT_EQ(std::get<DenseMlp>(config.block(0).mlp).intermediate, 128);
  EXPECT_EQ(config.block_count, 4);
  EXPECT_EQ(config.block(0).attention.heads, 8);
  EXPECT_EQ(config.block(0).attention.kv_heads, 2);
  EXPECT_EQ(config.block(0).attention.head_dim, 8);
  EXPECT_EQ(config.vocabulary, 100);
  EXPECT_EQ(config.max_positions, 512);
  EXPECT_EQ(config.rms_norm_eps, 1e-5f);
  EXPECT_EQ(config.block(0).norm_eps, 1e-5f);
  EXPECT_EQ(config.rope.theta, 500000.0);
  EXPECT_EQ(config.rope.type, RopeConfig::Type::kDefault);
  EXPECT_THAT(windows(config), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(config.eos_ids, ElementsAre(2));  // the family's default, as in the reference
  EXPECT_EQ(config.bos_id, 1);
  const Traits plain = traits(config);
  EXPECT_FALSE(plain.qkv_bias || plain.output_bias || plain.mlp_bias || plain.qk_norm ||
               config.tied_embeddings);
}

TEST(Config, ReadsTheBundledModel) {
  const absl::StatusOr<ModelConfig> config = load_config(SHOAL_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->block(0).attention.head_dim, 32);
  EXPECT_TRUE(config->tied_embeddings);
  EXPECT_EQ(config->bos_id, 0);
  EXPECT_THAT(config->eos_ids, ElementsAre(1));
}

TEST(Config, AbsentKeysTakeTheDefaultsOfTheFamily) {
  const auto kv_heads = [](const json& config) { return good(config).block(0).attention.kv_heads; };
  EXPECT_EQ(kv_heads(without(llama(), "num_key_value_heads")), 8);
  EXPECT_EQ(kv_heads(without(mistral(), "num_key_value_heads")), 8);
  EXPECT_EQ(kv_heads(with(qwen2(), "num_key_value_heads", nullptr)), 8);
  EXPECT_EQ(good(without(llama(), "rope_theta")).rope.theta, 10000.0);
  EXPECT_EQ(good(without(llama(), "rms_norm_eps")).rms_norm_eps, 1e-6f);
  EXPECT_EQ(good(without(llama(), "max_position_embeddings")).max_positions, 2048);
  EXPECT_EQ(good(without(mistral(), "max_position_embeddings")).max_positions, 131072);
  EXPECT_EQ(good(qwen3()).block(0).attention.head_dim, 128);
  EXPECT_EQ(good(without(llama(), "model_type")).architecture, "LlamaForCausalLM");
  EXPECT_EQ(good(without(qwen2(), "architectures")).architecture, "Qwen2ForCausalLM");
}

TEST(Config, BiasesAndNormsOfTheFamilies) {
  const Traits biased = traits(good(with(with(llama(), "attention_bias", true), "mlp_bias", true)));
  EXPECT_TRUE(biased.qkv_bias && biased.output_bias && biased.mlp_bias);
  const ModelConfig second = good(with(qwen2(), "tie_word_embeddings", true));
  EXPECT_TRUE(traits(second).qkv_bias && second.tied_embeddings);
  EXPECT_FALSE(traits(second).output_bias || traits(second).mlp_bias || traits(second).qk_norm);
  const Traits third = traits(good(with(qwen3(), "attention_bias", true)));
  EXPECT_TRUE(third.qk_norm && third.qkv_bias && third.output_bias);
  // The reference has no such bias in these families, and says nothing.
  const ModelConfig fourth = good(with(mistral(), "attention_bias", true));
  EXPECT_FALSE(traits(fourth).qkv_bias || traits(fourth).output_bias);
  EXPECT_THAT(fourth.warnings, testing::ElementsAre(testing::HasSubstr("attention_bias")));
  const ModelConfig fifth = good(with(qwen2(), "mlp_bias", true));
  EXPECT_FALSE(traits(fifth).mlp_bias);
  EXPECT_THAT(fifth.warnings, testing::ElementsAre(testing::HasSubstr("mlp_bias")));
}

TEST(Config, ExplicitHeadDimNeedsNoDivisibility) {
  const json odd = with(with(llama(), "num_attention_heads", 6), "num_key_value_heads", 3);
  EXPECT_EQ(good(with(odd, "head_dim", 20)).block(0).attention.head_dim, 20);
  expect_refused(odd, "hidden_size");
  expect_refused(with(llama(), "head_dim", 7), "head_dim");
  expect_refused(with(llama(), "num_key_value_heads", 3), "num_key_value_heads");
}

TEST(Config, SlidingWindows) {
  EXPECT_THAT(windows(good(with(llama(), "sliding_window", 16))), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(windows(good(with(mistral(), "sliding_window", 16))), ElementsAre(16, 16, 16, 16));
  EXPECT_THAT(windows(good(with(mistral(), "sliding_window", nullptr))), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(windows(good(mistral())), ElementsAre(4096, 4096, 4096, 4096));

  json config = with(with(qwen2(), "sliding_window", 16), "max_window_layers", 3);
  EXPECT_THAT(windows(good(config)), ElementsAre(0, 0, 0, 0));
  config["use_sliding_window"] = true;
  EXPECT_THAT(windows(good(config)), ElementsAre(0, 0, 0, 16));
  config["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention",
                           "full_attention"};
  EXPECT_THAT(windows(good(config)), ElementsAre(16, 0, 16, 0));
  config["use_sliding_window"] = false;
  expect_refused(config, "layer_types");
  config["layer_types"] = {"full_attention"};
  expect_refused(config, "layer_types");
  expect_refused(with(llama(), "layer_types",
                      {"full_attention", "linear_attention", "full_attention", "full_attention"}),
                 "linear_attention");
}

TEST(Config, SpecialIdsAreAnIdAListOrNone) {
  EXPECT_THAT(good(with(llama(), "eos_token_id", {7, 9})).eos_ids, ElementsAre(7, 9));
  EXPECT_THAT(good(with(llama(), "eos_token_id", 3)).eos_ids, ElementsAre(3));
  EXPECT_THAT(good(with(llama(), "eos_token_id", nullptr)).eos_ids, ElementsAre());
  EXPECT_EQ(good(with(llama(), "bos_token_id", nullptr)).bos_id, std::nullopt);
  EXPECT_THAT(good(qwen2()).eos_ids, ElementsAre());
  EXPECT_THAT(good(with(llama(), "eos_token_id", -1)).eos_ids, ElementsAre());
  EXPECT_THAT(good(with(llama(), "eos_token_id", {-1, 5})).eos_ids, ElementsAre(5));
  EXPECT_EQ(good(with(llama(), "bos_token_id", -1)).bos_id, std::nullopt);
  expect_refused(with(llama(), "eos_token_id", "</s>"), "eos_token_id");
}

TEST(ConfigRope, OldAndNewSpellingsAreTheSame) {
  const json inner = {{"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 256}};
  json old_type = inner, old_rope_type = inner, parameters = inner;
  old_type["type"] = "llama3";
  old_rope_type["rope_type"] = "llama3";
  parameters["rope_type"] = "llama3";
  parameters["rope_theta"] = 500000.0;
  for (const json& config :
       {with(llama(), "rope_scaling", old_type), with(llama(), "rope_scaling", old_rope_type),
        with(without(llama(), "rope_theta"), "rope_parameters", parameters),
        with(without(llama(), "rope_theta"), "rope_parameters",
             json{{"full_attention", parameters}})}) {
    const RopeConfig rope = good(config).rope;
    EXPECT_EQ(rope.type, RopeConfig::Type::kLlama3);
    EXPECT_EQ(rope.theta, 500000.0);
    EXPECT_EQ(rope.factor, 8.0);
    EXPECT_EQ(rope.low_freq_factor, 1.0);
    EXPECT_EQ(rope.high_freq_factor, 4.0);
    EXPECT_EQ(rope.original_max_positions, 256);
  }
}

TEST(ConfigRope, YarnReadsEveryOption) {
  const json scaling = {{"rope_type", "yarn"}, {"factor", 4.0},
                        {"beta_fast", 16},     {"beta_slow", 2},
                        {"mscale", 1.0},       {"mscale_all_dim", 0.5},
                        {"truncate", false},   {"attention_factor", 1.5},
                        {"finetuned", true},   {"original_max_position_embeddings", 128}};
  const RopeConfig rope = good(with(llama(), "rope_scaling", scaling)).rope;
  EXPECT_EQ(rope.type, RopeConfig::Type::kYarn);
  EXPECT_EQ(rope.factor, 4.0);
  EXPECT_EQ(rope.beta_fast, 16.0);
  EXPECT_EQ(rope.beta_slow, 2.0);
  EXPECT_EQ(rope.mscale, 1.0);
  EXPECT_EQ(rope.mscale_all_dim, 0.5);
  EXPECT_FALSE(rope.truncate);
  EXPECT_EQ(rope.attention_factor, 1.5);
  EXPECT_EQ(rope.original_max_positions, 128);
}

TEST(ConfigRope, YarnDefaults) {
  const RopeConfig rope = good(with(llama(), "rope_scaling",
                                    {{"type", "yarn"}, {"original_max_position_embeddings", 128}}))
                              .rope;
  EXPECT_EQ(rope.factor, 4.0);  // 512 / 128
  EXPECT_EQ(rope.beta_fast, 32.0);
  EXPECT_EQ(rope.beta_slow, 1.0);
  EXPECT_TRUE(rope.truncate);
  EXPECT_EQ(good(with(llama(), "rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}))
                .rope.original_max_positions,
            512);
}

// As standardize_rope_params() of transformers 5 has it, and one line each.
TEST(ConfigRope, WhereTheFileDisagreesTheReferenceIsFollowed) {
  const auto read = [](const json& config, const std::string& line) {
    const ModelConfig read = good(config);
    EXPECT_EQ(read.warnings.size(), 1u);
    EXPECT_THAT(read.warnings, testing::Contains(testing::HasSubstr(line)));
    return read.rope;
  };
  const json linear = {{"type", "linear"}, {"factor", 2.0}};
  const json yarn = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}};
  EXPECT_EQ(read(with(llama(), "rope_scaling", with(yarn, "type", "linear")), "rope_type").type,
            RopeConfig::Type::kYarn);
  EXPECT_EQ(
      read(with(llama(), "rope_scaling", with(linear, "long_factor", {1.0})), "long_factor").type,
      RopeConfig::Type::kLinear);
  EXPECT_EQ(
      read(with(llama(), "rope_parameters", with(linear, "rope_theta", 7.0)), "rope_theta").theta,
      7.0);
  EXPECT_EQ(read(with(with(llama(), "rope_scaling", linear), "rope_parameters", yarn),
                 "rope_scaling is followed")
                .type,
            RopeConfig::Type::kLinear);
  EXPECT_EQ(read(with(with(llama(), "rope_scaling", yarn), "original_max_position_embeddings", 64),
                 "64 outside of it is followed, not 128")
                .original_max_positions,
            64);
  EXPECT_EQ(
      good(with(with(llama(), "rope_scaling", json::object()), "rope_parameters", yarn)).rope.type,
      RopeConfig::Type::kYarn);
  // One line, however many keys.
  json many = linear;
  for (int i = 0; i < 1'000; ++i) many["key" + std::to_string(i)] = i;
  read(with(llama(), "rope_scaling", many), "and 995 more without effect");
}

TEST(ConfigRope, RefusesWhatIsNotComputed) {
  for (const char* type : {"dynamic", "longrope", "su", "mrope", "ntk"}) {
    expect_refused(with(llama(), "rope_scaling", {{"type", type}, {"factor", 2.0}}), type);
  }
  expect_refused(with(llama(), "rope_scaling", {{"type", "linear"}}), "factor");
  expect_refused(with(llama(), "rope_scaling", {{"type", "linear"}, {"factor", 0}}), "factor");
  expect_refused(with(llama(), "rope_scaling", {{"type", "linear"}, {"factor", "2"}}), "factor");
  expect_refused(with(llama(), "rope_scaling", "linear"), "rope_scaling");
  expect_refused(
      with(llama(), "rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}),
      "partial_rotary_factor");
  expect_refused(with(without(llama(), "rope_theta"), "rope_parameters",
                      {{"full_attention", {{"rope_theta", 1e6}}},
                       {"sliding_attention", {{"rope_theta", 1e4}}}}),
                 "more than one kind");
  expect_refused(with(llama(), "rope_scaling",
                      {{"type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 4.0},
                       {"high_freq_factor", 4.0}}),
                 "high_freq_factor");
}

TEST(Config, RefusesOtherArchitecturesByName) {
  for (const char* name : {"MixtralForCausalLM", "GemmaForCausalLM", "LlamaModel", "BloomModel"}) {
    expect_refused(without(with(llama(), "architectures", {name}), "model_type"), name);
  }
  expect_refused(without(with(llama(), "model_type", "mamba"), "architectures"), "mamba");
  expect_refused(with(llama(), "architectures", json::array()), "architectures");
  expect_refused(with(llama(), "model_type", "mistral"), "contradict");
  expect_refused(json::object(), "architectures");
}

TEST(Config, RefusesFeaturesThatChangeTheMathematics) {
  const std::pair<const char*, json> features[] = {
      {"hidden_act", "gelu"},
      {"num_local_experts", 8},
      {"num_experts", 64},
      {"quantization_config", {{"quant_method", "gptq"}}},
      {"partial_rotary_factor", 0.5},
      {"attn_logit_softcapping", 50.0},
      {"final_logit_softcapping", 30.0},
      {"attention_multiplier", 0.1},
      {"residual_multiplier", 0.2},
      {"embedding_multiplier", 12},
      {"logits_scaling", 8.0},
      {"attention_chunk_size", 8192},
      {"position_embedding_type", "alibi"},
      {"use_qk_norm", true},
      {"auto_map", {{"AutoModelForCausalLM", "modeling_x.X"}}},
  };
  for (const auto& [key, value] : features) expect_refused(with(llama(), key, value), key);
}

TEST(Config, NeutralValuesAndUnknownHarmlessKeysAreAccepted) {
  json config = llama();
  config["quantization_config"] = nullptr;
  config["partial_rotary_factor"] = 1.0;
  config["num_experts"] = 0;
  config["pretraining_tp"] = 1;
  config["hidden_act"] = "swish";
  config["transformers_version"] = "5.0.0";
  config["auto_map"] = {{"AutoConfig", "configuration_x.X"}};
  config["pruned_heads"] = json::object();
  EXPECT_EQ(good(config).hidden, 64);
}

TEST(Config, EveryNumberIsBounded) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "vocab_size", "max_position_embeddings"}) {
    for (const json& value : {json(0), json(-1), json(1e30), json(18446744073709551615ULL),
                              json("8"), json(2.5), json(true), json::array({8})}) {
      expect_refused(with(llama(), key, value), key);
    }
  }
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size",
                          "num_attention_heads"}) {
    expect_refused(without(llama(), key), key);
  }
  for (const json& value : {json(-1.0), json(2.0), json("x")}) {
    expect_refused(with(llama(), "rms_norm_eps", value), "rms_norm_eps");
  }
  for (const json& value : {json(0.0), json(1.0), json(-5.0), json(1e300), json("x")}) {
    expect_refused(with(llama(), "rope_theta", value), "rope_theta");
  }
}

TEST(Config, RefusesWhatIsNotAJsonObject) {
  expect_text_refused("", "empty");
  expect_text_refused("{", "JSON");
  expect_text_refused("[1, 2]", "JSON object");
  expect_text_refused("{\"model_type\": \"llama\", \"hidden_size\": NaN}", "not NaN");
  expect_text_refused(std::string(100'000, '['), "JSON");
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  for (const char* key : {"rope_scaling", "eos_token_id", "hidden_act", "anything"}) {
    std::string text = with(llama(), key, "HERE").dump();
    text.replace(text.find("\"HERE\""), 6, deep);
    expect_text_refused(text, "deep");
  }
  expect_text_refused(std::string("{\"a\":\"\xff\"}"), "JSON");
}

// Every key of a config in turn with a value of every wrong kind: an answer, never an exception.
TEST(Config, WrongTypesAreErrorsOrIgnored) {
  json config = with(qwen2(), "use_sliding_window", true);
  for (const char* key :
       {"rope_scaling", "rope_parameters", "layer_types", "auto_map", "eos_token_id",
        "bos_token_id", "tie_word_embeddings", "head_dim", "attention_bias", "sliding_window",
        "max_window_layers", "pruned_heads"}) {
    config[key] = nullptr;
  }
  int refused = 0;
  for (const auto& [key, unused] : config.items()) {
    for (const json& value : {json("x"), json(-3), json(0.5), json(true), json::array({1}),
                              json::array({json::object()}), json{{"a", json::array()}}}) {
      refused += parse_config(with(config, key, value).dump()).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(Config, MissingFoldersAndFilesSayWhatIsExpected) {
  const std::string missing = testing::TempDir() + "no-such-model";
  const absl::Status folder = load_config(missing).status();
  EXPECT_THAT(std::string(folder.message()), HasSubstr(missing));
  EXPECT_THAT(std::string(folder.message()), HasSubstr("tokenizer.json"));
  const absl::Status file = load_config(SHOAL_SOURCE_DIR "/tests").status();
  EXPECT_THAT(std::string(file.message()), HasSubstr("/tests/config.json"));
  const absl::Status not_folder = load_config(SHOAL_SOURCE_DIR "/LICENSE").status();
  EXPECT_THAT(std::string(not_folder.message()), HasSubstr("not a folder"));
}

}  // namespace
}  // namespace shoal::model
