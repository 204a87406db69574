// SPDX-License-Identifier: Apache-2.0
// The digest changes with what changes the outputs, and with nothing else.
#include "model/model_digest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/model/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using Digest = std::array<std::uint8_t, 32>;
using nlohmann::json;
using tests::read_file;
using tests::write_file;

const std::string kModel = SHOAL_SOURCE_DIR "/tests/fixtures/models/llama_yarn_options";

Digest digest_of(const std::string& directory) {
  const ModelConfig config = load_config(directory).value();
  const Checkpoint checkpoint = Checkpoint::open(directory).value();
  return model_digest(config, checkpoint).value();
}

class ModelDigest : public testing::Test {
 protected:
  ModelDigest()
      : config_(json::parse(read_file(kModel + "/config.json"))),
        weights_(read_file(kModel + "/model.safetensors")) {}
  Digest digest(const json& config, const std::string& weights) const {
    const tests::TempDir directory;
    write_file(directory.file("config.json"), config.dump());
    write_file(directory.file("model.safetensors"), weights);
    return digest_of(directory.path());
  }
  Digest with(const char* key, const json& value) const {
    json config = config_;
    config[json::json_pointer(key)] = value;
    return digest(config, weights_);
  }

  const json config_;
  const std::string weights_;
};

TEST_F(ModelDigest, IsTheSameForTheSameFiles) {
  EXPECT_EQ(digest_of(kModel), digest_of(kModel));
  EXPECT_EQ(digest_of(kModel), digest(config_, weights_));
}

TEST_F(ModelDigest, IgnoresWhatDoesNotChangeTheMathematics) {
  const Digest plain = digest_of(kModel);
  EXPECT_EQ(with("/_name_or_path", "somewhere/else"), plain);
  EXPECT_EQ(with("/transformers_version", "9.9"), plain);
  EXPECT_EQ(with("/dtype", "float32"), plain);
  EXPECT_EQ(with("/eos_token_id", json::array({3, 4})), plain);
  EXPECT_EQ(with("/use_cache", false), plain);
}

TEST_F(ModelDigest, IgnoresTheSpellingOfTheRotaryKeys) {
  json config = config_;
  config["rope_parameters"] = config["rope_scaling"];
  config["rope_parameters"]["rope_theta"] = config["rope_theta"];
  config.erase("rope_scaling");
  config.erase("rope_theta");
  EXPECT_EQ(digest(config, weights_), digest_of(kModel));
}

TEST_F(ModelDigest, ChangesWithTheMathematics) {
  const Digest plain = digest_of(kModel);
  EXPECT_NE(with("/rope_theta", 20000.0), plain);
  EXPECT_NE(with("/rope_scaling/factor", 5.0), plain);
  EXPECT_NE(with("/rope_scaling/attention_factor", 0.75), plain);
  EXPECT_NE(with("/rope_scaling/truncate", true), plain);
  EXPECT_NE(with("/rope_scaling/beta_fast", 8.0), plain);
  EXPECT_NE(with("/rope_scaling", nullptr), plain);
  EXPECT_NE(with("/rms_norm_eps", 1e-6), plain);
  EXPECT_NE(with("/tie_word_embeddings", true), plain);
  EXPECT_NE(with("/num_hidden_layers", 1), plain);
  EXPECT_NE(with("/attention_bias", true), plain);
}

TEST_F(ModelDigest, ChangesWithTheWeights) {
  const Digest plain = digest_of(kModel);
  for (const std::size_t from_end : {std::size_t{1}, weights_.size() / 3, weights_.size() / 2}) {
    std::string changed = weights_;
    changed[changed.size() - from_end] ^= 1;  // small tensors are read whole
    EXPECT_NE(digest(config_, changed), plain) << from_end;
  }
}

TEST_F(ModelDigest, ChangesWithNamesTypesAndShapes) {
  const std::string data(64, 'x');
  const auto one = [&](const std::string& name, const std::string& dtype,
                       const std::string& shape) {
    return digest(config_,
                  safetensors_bytes("{\"" + name + "\":{\"dtype\":\"" + dtype +
                                        "\",\"shape\":" + shape + ",\"data_offsets\":[0,64]}}",
                                    data));
  };
  const Digest plain = one("a", "F16", "[4,8]");
  EXPECT_EQ(one("a", "F16", "[4,8]"), plain);
  EXPECT_NE(one("b", "F16", "[4,8]"), plain);
  EXPECT_NE(one("a", "BF16", "[4,8]"), plain);
  EXPECT_NE(one("a", "F16", "[8,4]"), plain);
}

TEST_F(ModelDigest, SamplesLargeTensorsAtTheirEdgesAndInBetween) {
  constexpr std::size_t kBytes = 1 << 20;
  const std::string header = R"({"a":{"dtype":"U8","shape":[1048576],"data_offsets":[0,1048576]}})";
  const std::string data(kBytes, 'x');
  const Digest plain = digest(config_, safetensors_bytes(header, data));
  const auto changed_at = [&](std::size_t at) {
    std::string other = data;
    other[at] = 'y';
    return digest(config_, safetensors_bytes(header, other)) != plain;
  };
  EXPECT_TRUE(changed_at(0));
  EXPECT_TRUE(changed_at(4095));
  EXPECT_TRUE(changed_at(kBytes - 4096));
  EXPECT_TRUE(changed_at(kBytes - 1));
  EXPECT_TRUE(changed_at(4096));                // the first spot
  EXPECT_TRUE(changed_at(kBytes - 4096 - 64));  // the last spot begins within a step of here
  // A block of 64 KiB anywhere is noticed: spots are at most 16.4 KiB apart.
  for (std::size_t begin = 0; begin + 65536 <= kBytes; begin += 50'000) {
    std::string other = data;
    std::fill_n(other.begin() + static_cast<std::ptrdiff_t>(begin), 65536, 'y');
    EXPECT_NE(digest(config_, safetensors_bytes(header, other)), plain) << begin;
  }
}

TEST_F(ModelDigest, ShardingMakesNoDifference) {
  const std::string sharded = SHOAL_SOURCE_DIR "/tests/fixtures/models/llama_sharded";
  const Checkpoint checkpoint = Checkpoint::open(sharded).value();
  std::string header = "{", data;
  for (const auto& [name, info] : checkpoint.tensors()) {
    const json entry = {{"dtype", info.dtype},
                        {"shape", info.shape},
                        {"data_offsets", {data.size(), data.size() + info.bytes}}};
    header += (header.size() > 1 ? ",\"" : "\"") + name + "\":" + entry.dump();
    data.append(reinterpret_cast<const char*>(info.data), info.bytes);
  }
  const json config = json::parse(read_file(sharded + "/config.json"));
  EXPECT_EQ(digest(config, safetensors_bytes(header + "}", data)), digest_of(sharded));
}

}  // namespace
}  // namespace shoal::model
