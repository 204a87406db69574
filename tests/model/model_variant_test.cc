// SPDX-License-Identifier: Apache-2.0
// Folders whose config.json or tensor names are unusual, against the reference
// (scripts/fixtures/make_model_variants.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "model/weight_check.h"
#include "tests/model/local_model.h"
#include "tests/model/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::TempDir;
using tests::write_file;

const std::string kVariantFixtures = SHOAL_SOURCE_DIR "/tests/fixtures/models/";
constexpr double kVariantBound = 5e-5;  // as in family_test.cc

struct Tensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string data;
};
using Tensors = std::map<std::string, Tensor>;

Tensors tensors_of(const std::string& directory) {
  const Checkpoint checkpoint = Checkpoint::open(directory).value();
  Tensors result;
  for (const auto& [name, info] : checkpoint.tensors()) {
    result[name] = {info.dtype, info.shape, {reinterpret_cast<const char*>(info.data), info.bytes}};
  }
  return result;
}

std::string file_of(const Tensors& tensors) {
  json header = json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
    data += tensor.data;
  }
  return safetensors_bytes(header.dump(), data);
}

Tensor ones(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t n : shape) count *= n;
  std::string data;
  const float one = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    data.append(reinterpret_cast<const char*>(&one), sizeof one);
  }
  return {"F32", shape, data};
}

Tensors changed(const Tensors& tensors, const std::string& operation) {
  Tensors result;
  for (const auto& [name, tensor] : tensors) {
    if (operation == "without_prefix") {
      result[name.rfind("model.", 0) == 0 ? name.substr(6) : name] = tensor;
    } else if (operation == "prefix_twice") {
      result["model." + name] = tensor;
    } else if (operation != "only_head" || name.find("embed_tokens") == std::string::npos) {
      result[name] = tensor;
    }
  }
  if (operation == "equal_head") result["lm_head.weight"] = result["model.embed_tokens.weight"];
  if (operation == "strangers") {
    result["foo.bar"] = ones({3});
    result["model.norm.bias"] = ones({32});
    result["model.layers.0.self_attn.q_proj.bias"] = ones({64});
    result["model.layers.9.mlp.up_proj.weight"] = ones({2, 2});
  }
  return result;
}

void expect_logits(const std::string& directory, const Ids& ids, const std::vector<double>& golden,
                   const std::string& name) {
  const auto model = LocalModel::load(directory);
  LocalSession session = model->session(static_cast<std::int64_t>(ids.size()));
  const Rows logits = model->last_logits(model->run(session, 0, ids));
  ASSERT_EQ(logits.size(), golden.size()) << name;
  double largest = 0;
  for (const double value : golden) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < golden.size(); ++i) {
    EXPECT_NEAR(logits[i], golden[i], kVariantBound * largest) << name << ", id " << i;
  }
}

TEST(ModelVariant, ComputesWhatTheReferenceComputes) {
  const json variants =
      json::parse(tests::read_file(SHOAL_SOURCE_DIR "/tests/fixtures/model_variants.json"));
  ASSERT_GT(variants.size(), 10u);
  for (const json& variant : variants) {
    const std::string base = kVariantFixtures + variant["base"].get<std::string>();
    const TempDir folder;
    json config = json::parse(tests::read_file(base + "/config.json"));
    config.update(variant["config"]);
    write_file(folder.file("config.json"), config.dump());
    write_file(folder.file("model.safetensors"),
               file_of(changed(tensors_of(base), variant["tensors"])));
    const json golden = json::parse(tests::read_file(base + "/golden.json"));
    expect_logits(folder.path(), golden["ids"].get<Ids>(),
                  variant["logits"].get<std::vector<double>>(), variant["name"]);
  }
}

class Shards : public testing::Test {
 protected:
  Shards() {
    write_file(folder_.file("config.json"), tests::read_file(kBase + "/config.json"));
    const json golden = json::parse(tests::read_file(kBase + "/golden.json"));
    ids_ = golden["ids"].get<Ids>();
    golden_ = golden["logits"].back().get<std::vector<double>>();  // of the last id
    for (const auto& [name, tensor] : tensors_of(kBase)) {
      (first_.size() < 8 ? first_ : second_)[name] = tensor;
    }
  }
  void write_shards() {
    write_file(folder_.file("m-1.safetensors"), file_of(first_));
    write_file(folder_.file("m-2.safetensors"), file_of(second_));
  }
  void write_index(const json& map) {
    write_file(folder_.file("model.safetensors.index.json"), json{{"weight_map", map}}.dump());
  }
  json right_map() const {
    json map;
    for (const auto& [name, tensor] : first_) map[name] = "m-1.safetensors";
    for (const auto& [name, tensor] : second_) map[name] = "m-2.safetensors";
    return map;
  }
  void expect_right(const char* name) { expect_logits(folder_.path(), ids_, golden_, name); }

  const std::string kBase = kVariantFixtures + "llama_mha";
  const TempDir folder_;
  Ids ids_;
  std::vector<double> golden_;
  Tensors first_, second_;
};

TEST_F(Shards, TheFilesCountNotWhatTheIndexSaysOfThem) {
  write_shards();
  json map = right_map();
  map["ghost"] = "m-1.safetensors";
  write_index(map);
  expect_right("a tensor that no file has");
  write_index({{"a", "m-1.safetensors"}, {"b", "m-2.safetensors"}});
  expect_right("an index that names none of the tensors");
  map = right_map();
  for (auto& [name, file] : map.items()) {
    if (name.find("q_proj") != std::string::npos) file = "m-2.safetensors";
  }
  write_index(map);
  expect_right("tensors in another file than the index says");
}

TEST_F(Shards, OfTwoTensorsTheLaterFilesIsTaken) {
  for (const auto& [name, tensor] : first_) second_[name] = tensor;
  for (auto& [name, tensor] : first_) tensor.data.assign(tensor.data.size(), '\0');
  write_shards();
  write_index(right_map());
  expect_right("later file");
}

TEST_F(Shards, OneFileIsStrongerThanAnIndex) {
  write_file(folder_.file("model.safetensors"), tests::read_file(kBase + "/model.safetensors"));
  write_index({{"a", "no-such-file.safetensors"}});
  expect_right("single");
  EXPECT_THAT(Checkpoint::open(folder_.path())->warnings(),
              ElementsAre(HasSubstr("has both model.safetensors and")));
}

TEST_F(Shards, AMissingFileIsNamed) {
  write_shards();
  json map = right_map();
  map["ghost"] = "m-3.safetensors";
  write_index(map);
  EXPECT_THAT(std::string(Checkpoint::open(folder_.path()).status().message()),
              testing::AllOf(HasSubstr("m-3.safetensors"), HasSubstr("index.json names it")));
}

std::vector<std::string> warnings_of(const std::string& directory) {
  const ModelConfig config = load_config(directory).value();
  const Checkpoint checkpoint = Checkpoint::open(directory).value();
  std::vector<std::string> warnings = config.warnings;
  const auto executor = kernels::Executor::cpu(1);
  const ModelEnds ends = ModelEnds::load(config, checkpoint, *executor).value();
  for (const auto& more : {check_weights(config, checkpoint).value(), ends.warnings()}) {
    warnings.insert(warnings.end(), more.begin(), more.end());
  }
  return warnings;
}

TEST(ModelVariant, FilesThatDisagreeAreSaidInOneLine) {
  for (const char* name : {"llama_mha", "mistral_window", "qwen2_window", "llama_sharded"}) {
    EXPECT_THAT(warnings_of(kVariantFixtures + name), IsEmpty()) << name;
  }
  const std::string base = kVariantFixtures + "llama_mha";
  const TempDir folder;
  json config = json::parse(tests::read_file(base + "/config.json"));
  config["tie_word_embeddings"] = true;
  write_file(folder.file("config.json"), config.dump());
  write_file(folder.file("model.safetensors"), file_of(changed(tensors_of(base), "strangers")));
  EXPECT_THAT(warnings_of(folder.path()),
              ElementsAre(HasSubstr("4 tensors have no place in a model of this config.json and "
                                    "are ignored, as in the reference: foo.bar, model.layers.0"),
                          HasSubstr("lm_head.weight differs from model.embed_tokens.weight")));
  json mistral = json::parse(tests::read_file(kVariantFixtures + "mistral_window/config.json"));
  mistral["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_THAT(parse_config(mistral.dump())->warnings,
              ElementsAre(testing::AllOf(HasSubstr("layer_types"), HasSubstr("layer 1"))));
}

TEST(ModelVariant, NamesOfOtherMakingAreNamed) {
  const std::string base = kVariantFixtures + "llama_mha";
  const TempDir folder;
  write_file(folder.file("config.json"), tests::read_file(base + "/config.json"));
  Tensors renamed;
  for (const auto& [name, tensor] : tensors_of(base)) renamed["transformer." + name] = tensor;
  write_file(folder.file("model.safetensors"), file_of(renamed));
  const Checkpoint checkpoint = Checkpoint::open(folder.path()).value();
  const auto executor = kernels::Executor::cpu(1);
  EXPECT_THAT(std::string(ModelEnds::load(load_config(folder.path()).value(), checkpoint, *executor)
                              .status()
                              .message()),
              testing::AllOf(HasSubstr("model.embed_tokens.weight is missing"),
                             HasSubstr("there is transformer.model.embed_tokens.weight")));
}

TEST(ModelVariant, OtherKindsOfModelAreRefusedByTheirTensors) {
  const std::string base = kVariantFixtures + "llama_mha";
  const ModelConfig config = load_config(base).value();
  const auto refusal = [&](const std::string& name, const char* dtype, std::int64_t bytes) {
    const TempDir folder;
    Tensors tensors = tensors_of(base);
    tensors[name] = {dtype, {bytes}, std::string(static_cast<std::size_t>(bytes), '\1')};
    write_file(folder.file("model.safetensors"), file_of(tensors));
    const auto checked = check_weights(config, Checkpoint::open(folder.path()).value());
    return std::string(checked.status().message());
  };
  const std::string proj = "model.layers.0.mlp.up_proj.";
  for (const auto& [name, dtype, what] : {std::tuple{proj + "qweight", "U8", "GPTQ"},
                                          {proj + "qzeros", "U8", "GPTQ and AWQ"},
                                          {proj + "weight_packed", "U8", "compressed-tensors"},
                                          {proj + "weight_scale", "U8", "scales"},
                                          {proj + "weight_scale_inv", "U8", "DeepSeek"},
                                          {proj + "weight.absmax", "U8", "bitsandbytes"},
                                          {proj + "SCB", "U8", "8 bits"},
                                          {proj + "scales", "U8", "scales"},
                                          {proj + "biases", "U8", "MLX"},
                                          {proj + "weight", "I8", "I8"},
                                          {proj + "weight", "F8_E4M3", "FP8"},
                                          {proj + "weight", "F8_E5M2", "FP8"}}) {
    EXPECT_THAT(refusal(name, dtype, 8), testing::AllOf(HasSubstr("quantized"), HasSubstr(what)))
        << name;
  }
  EXPECT_THAT(refusal("model.layers.0.mlp.experts.0.w1.weight", "BOOL", 8), HasSubstr("quantized"));
  EXPECT_THAT(refusal("model.layers.0.mlp.experts.0.up", "BOOL", 8),
              HasSubstr("mixture of experts"));
  EXPECT_THAT(refusal(proj + "lora_A.default", "BOOL", 8), HasSubstr("LoRA"));
}

}  // namespace
}  // namespace shoal::model
