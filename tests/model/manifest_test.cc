// SPDX-License-Identifier: Apache-2.0
// The digest changes with what changes the outputs, and with what the files are, and with nothing
// else; and there is one text for each manifest.
#include "model/manifest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "model/folder_manifest.h"
#include "tests/model/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using Digest = Sha256Digest;
using nlohmann::json;
using tests::read_file;
using tests::write_file;

const std::string kModel = SHOAL_SOURCE_DIR "/tests/fixtures/models/llama_yarn_options";

Digest digest_of(const std::string& directory) {
  const ModelConfig config = load_config(directory).value();
  const WeightFiles files = read_weight_files(directory).value();
  return folder_manifest(config, files, {}).value().value().digest;
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

TEST_F(ModelDigest, IsOfTheFilesAsTheyAre) {
  // The same tensors in another order of bytes are other files: whoever exports anew gets another
  // digest.
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],)";
  const Digest plain =
      digest(config_, safetensors_bytes(header + R"("data_offsets":[2,4]}})", "xxxx"));
  EXPECT_NE(digest(config_, safetensors_bytes(header + R"("data_offsets":[2,4]}} )", "xxxx")),
            plain);
  EXPECT_EQ(digest(config_, safetensors_bytes(header + R"("data_offsets":[2,4]}})", "xxxx")),
            plain);
}

TEST_F(ModelDigest, EveryByteCounts) {
  constexpr std::size_t kBytes = 1 << 16;
  const std::string header = R"({"a":{"dtype":"U8","shape":[65536],"data_offsets":[0,65536]}})";
  const std::string data(kBytes, 'x');
  const Digest plain = digest(config_, safetensors_bytes(header, data));
  for (const std::size_t at : {std::size_t{0}, std::size_t{12'345}, kBytes - 1}) {
    std::string other = data;
    other[at] = 'y';
    EXPECT_NE(digest(config_, safetensors_bytes(header, other)), plain) << at;
  }
}

Manifest example() {
  Manifest manifest;
  manifest.configuration = {{"blocks", "2"}, {"hidden", "64"}};
  ManifestFile file;
  file.name = "model-00001-of-00002.safetensors";
  file.size = 1000;
  file.sha256[0] = 0xab;
  file.tensors["b"] = {"F32", {2, 3}, 100, 124};
  file.tensors["a \"quoted\" \u00e9"] = {"BF16", {}, 124, 126};
  manifest.files = {file};
  file.name = "model-00002-of-00002.safetensors";
  file.tensors.clear();
  manifest.files.push_back(file);
  return manifest;
}

// Others compute the digest too: the bytes stand in docs/protocol.md.
TEST(ManifestText, IsWrittenInOneWay) {
  const std::string bytes = encode_manifest(example()).value();
  EXPECT_EQ(
      bytes,
      R"({"configuration":{"blocks":"2","hidden":"64"},"files":[)"
      R"({"name":"model-00001-of-00002.safetensors",)"
      R"("sha256":"ab00000000000000000000000000000000000000000000000000000000000000","size":1000,)"
      R"("tensors":{"a \"quoted\" é":["BF16",[],124,126],"b":["F32",[2,3],100,124]}},)"
      R"({"name":"model-00002-of-00002.safetensors",)"
      R"("sha256":"ab00000000000000000000000000000000000000000000000000000000000000","size":1000,)"
      R"("tensors":{}}],"format":"shoal model digest 2"})");
  EXPECT_EQ(parse_manifest(bytes, "it").value(), example());
  // What Python says of json.dumps(..., sort_keys=True, separators=(",", ":"), ensure_ascii=False).
  EXPECT_EQ(to_hex(sha256(bytes).value()),
            "212d5b612b48da0ce24413c84f385eceb326c2a4a54f0455e0c9915a9e1b40ec");
}

TEST(ManifestText, AnythingElseIsRefused) {
  const std::string bytes = encode_manifest(example()).value();
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string changed = bytes;
    const std::size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    const auto parsed = parse_manifest(changed, "what came");
    EXPECT_FALSE(parsed.ok()) << changed;
    EXPECT_EQ(parsed.status().message().substr(0, 9), "what came") << parsed.status();
  };
  refused("digest 2", "digest 3");
  refused("{", " {");
  refused("}]", "} ]");
  refused(R"("size":1000)", R"("size":-1)");
  refused(R"("size":1000)", R"("size":1e3)");
  refused(R"("size":1000)", R"("size":99999999999999999999)");
  refused(R"("size":1000)", R"("size":125)");  // a tensor ends at 126
  refused("[2,3],100,124", "[2,3],124,100");
  refused("[2,3],100,124", "[2,-3],100,124");
  refused("[2,3],100,124", "[2,3],100");
  refused("[2,3],100,124", "[2,3],100,124,5");
  refused("[2,3]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,3]");
  refused("\"ab00", "\"AB00");
  refused("\"ab00", "\"ab0");
  refused("model-00002", "model-00001");  // twice
  refused("model-00002", "model-00000");  // not in order
  refused("model-00002", "../del-00002");
  refused(R"("blocks":"2")", R"("blocks":2)");
  refused(R"("blocks":"2")", R"("blocks":"2","blocks":"2")");
  refused(R"({"blocks":"2","hidden":"64"})", "{}");
  refused(R"("BF16")", R"("")");
  refused(R"("tensors":{}})", R"("tensors":{},"more":1})");
  refused(R"("tensors":{}})", R"("tensors":[]})");
  EXPECT_FALSE(parse_manifest("", "it").ok());
  EXPECT_FALSE(parse_manifest(bytes.substr(0, bytes.size() - 1), "it").ok());
  EXPECT_FALSE(parse_manifest(std::string(1 << 20, '['), "it").ok());
  EXPECT_FALSE(parse_manifest(std::string(kMaxManifestBytes + 1, ' '), "it").ok());
}

TEST(ManifestText, WhatDiffersIsNamed) {
  EXPECT_EQ(difference({{"a", "1"}, {"b", "2"}}, {{"a", "1"}, {"b", "2"}}), "");
  EXPECT_EQ(difference({{"a", "1"}}, {{"a", "2"}}), "a is 1 here and 2 there");
  EXPECT_EQ(difference({{"a", "1"}}, {{"a", "1"}, {"b", "2"}}), "b is absent here and 2 there");
}

}  // namespace
}  // namespace shoal::model
