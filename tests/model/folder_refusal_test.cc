// SPDX-License-Identifier: Apache-2.0
// What cannot be loaded is refused with the one line that says what it is, and the way out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/file_kind.h"
#include "model/generation_config.h"
#include "model/tokenizer.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using tests::TempDir;
using tests::write_file;

const std::string kLlama = SHOAL_SOURCE_DIR "/tests/fixtures/models/llama_mha";
constexpr const char* kPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 4976698672\n";

std::string refusal_text(const absl::Status& status) {
  EXPECT_FALSE(status.ok());
  const std::string text(status.message());
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  return text;
}

std::string config_text() { return tests::read_file(kLlama + "/config.json"); }

std::string refusal(const std::string& text) { return refusal_text(parse_config(text).status()); }

std::string refusal(const char* key, const json& value) {
  json config = json::parse(config_text());
  config[key] = value;
  return refusal(config.dump());
}

// `value` as it stands in the text: not all of these are JSON.
std::string with_raw(const std::string& key, const std::string& value) {
  json config = json::parse(config_text());
  config[key] = "HERE";
  std::string text = config.dump();
  return text.replace(text.find("\"HERE\""), 6, value);
}

TEST(FolderRefusal, RopeTypesAreNamed) {
  const json longrope = {{"type", "longrope"},
                         {"short_factor", {1.0}},
                         {"long_factor", {2.0}},
                         {"original_max_position_embeddings", 32}};
  EXPECT_THAT(refusal("rope_scaling", longrope),
              AllOf(HasSubstr("\"longrope\""), HasSubstr("supported: default, linear")));
  for (const char* name : {"su", "dynamic", "mrope", "proportional", "ntk", "xpos", "3d"}) {
    EXPECT_THAT(refusal("rope_scaling", {{"type", name}, {"factor", 2.0}, {"other", 1}}),
                HasSubstr("RoPE scaling \"" + std::string(name) + "\""));
  }
  for (const char* name : {"mrope", "default"}) {
    EXPECT_THAT(refusal("rope_scaling", {{"rope_type", name}, {"mrope_section", {16, 24, 24}}}),
                HasSubstr("multimodal RoPE"));
  }
}

TEST(FolderRefusal, QuantizedByConfig) {
  EXPECT_THAT(refusal("quantization_config", {{"quant_method", "awq"}, {"bits", 4}}),
              AllOf(HasSubstr("quantized (\"awq\")"), HasSubstr("quantization_config")));
  EXPECT_THAT(refusal("compression_config", {{"format", "x"}}), HasSubstr("quantized"));
}

TEST(FolderRefusal, NumbersThatJsonCannotWriteAreReadAsThePythonReferenceReadsThem) {
  for (const char* value : {"Infinity", "-Infinity", "NaN", "1e999", "-1E+999",
                            R"({"__float__": "Infinity"})", R"([NaN, {"a": -Infinity}])"}) {
    for (const char* key : {"anything", "attention_dropout", "initializer_range"}) {
      const auto config = parse_config(with_raw(key, value));
      EXPECT_TRUE(config.ok()) << value << config.status();
    }
  }
  // Texts are left alone, and so is what only looks like one.
  EXPECT_TRUE(parse_config(with_raw("note", R"("NaN, \"Infinity\" and [-Infinity]")")).ok());
  for (const char* key : {"rope_theta", "rms_norm_eps"}) {
    EXPECT_THAT(refusal(with_raw(key, "Infinity")),
                AllOf(HasSubstr(key), HasSubstr("a number from"), HasSubstr("not Infinity")));
    EXPECT_THAT(refusal(with_raw(key, R"({"__float__": "NaN"})")), HasSubstr("not NaN"));
  }
  EXPECT_THAT(
      refusal(with_raw("max_position_embeddings", "Infinity")),
      AllOf(HasSubstr("max_position_embeddings must be an integer"), HasSubstr("not Infinity")));
  for (const char* value : {"infinity", "Infinit", "nan", "NaN1", "+Infinity", "-NaN", "inf"}) {
    EXPECT_THAT(refusal(with_raw("anything", value)), HasSubstr("not JSON: line 1")) << value;
  }
}

TEST(FolderRefusal, TextThatIsNoJsonSaysWhereAndWhy) {
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal(" \n\t"), HasSubstr("is empty"));
  EXPECT_THAT(refusal(std::string(100, '\0')), HasSubstr("zero bytes"));
  EXPECT_THAT(refusal("{\n \"a\": 1,\n}"), AllOf(HasSubstr("line 3"), HasSubstr("comma too many")));
  EXPECT_THAT(refusal(config_text().substr(0, 100)), HasSubstr("the end seems to be missing"));
  EXPECT_THAT(refusal("{\"a\": \"x\",\n\"b\": \"\xe9\"}"), HasSubstr("line 2 is not UTF-8"));
  EXPECT_THAT(refusal(std::string("\xff\xfe{\0", 4)), HasSubstr("UTF-16"));
  EXPECT_THAT(refusal(kPointer), HasSubstr("git lfs pull"));
  EXPECT_THAT(refusal("<!DOCTYPE html><html>"), HasSubstr("web page"));
  EXPECT_THAT(refusal("Entry not found"), HasSubstr("answer of a web server"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("a JSON object is expected"));
  EXPECT_TRUE(parse_config("\xef\xbb\xbf" + config_text()).ok());  // a byte order mark
}

TEST(FolderRefusal, FilesThatCannotBeRead) {
  const TempDir folder;
  std::filesystem::create_directory(folder.file("config.json"));
  EXPECT_THAT(refusal_text(load_config(folder.path()).status()),
              HasSubstr("config.json: a folder"));
  const TempDir closed;
  write_file(closed.file("config.json"), config_text());
  ASSERT_EQ(::chmod(closed.file("config.json").c_str(), 0), 0);
  if (::geteuid() != 0) {  // root may read everything
    EXPECT_THAT(refusal_text(load_config(closed.path()).status()), HasSubstr("Permission denied"));
  }
}

TEST(FolderRefusal, WeightsOfOtherFormatsAreNamed) {
  for (const auto& [name, what] : {std::pair{"llama.Q4_K_M.gguf", "a GGUF file"},
                                   {"pytorch_model.bin", "of PyTorch"},
                                   {"pytorch_model-00001-of-00002.bin", "of PyTorch"},
                                   {"consolidated.00.pth", "of PyTorch"},
                                   {"tf_model.h5", "another format"},
                                   {"adapter_model.safetensors", "an adapter"},
                                   {"model-00001-of-00002.safetensors", "a part of a model"},
                                   {"consolidated.safetensors", "name it model.safetensors"}}) {
    const TempDir folder;
    write_file(folder.file(name), "x");
    write_file(folder.file("readme.md"), "x");
    EXPECT_THAT(refusal_text(load_config(folder.path()).status()),
                AllOf(HasSubstr("config.json"), HasSubstr(name), HasSubstr(what)));
    write_file(folder.file("config.json"), config_text());
    EXPECT_THAT(
        refusal_text(Checkpoint::open(folder.path()).status()),
        AllOf(HasSubstr("has neither model.safetensors nor"), HasSubstr(name), HasSubstr(what)));
  }
}

TEST(FolderRefusal, AModelThatIsAFileIsNamed) {
  const TempDir folder;
  write_file(folder.file("m.gguf"), "GGUF\x03" + std::string(100, 'x'));
  EXPECT_THAT(refusal_text(load_config(folder.file("m.gguf")).status()),
              AllOf(HasSubstr("not a folder"), HasSubstr("a GGUF file")));
}

TEST(FolderRefusal, FilesThatAreNotWhatTheirNameSays) {
  for (const auto& [bytes, what] :
       {std::pair<std::string, const char*>{kPointer, "run \"git lfs pull\""},
        {"GGUF\x03" + std::string(40, '\1'), "a GGUF file"},
        {std::string("PK\x03\x04", 4) + std::string(40, '\1'), "PyTorch or zip"},
        {std::string("\x80\x02}q", 4) + std::string(40, '\1'), "pickle"},
        {"<html><body>404</body></html>", "web page"},
        {std::string("\x1f\x8b\x08", 3) + std::string(40, '\1'), "gzip"},
        {"", "is empty"}}) {
    const TempDir folder;
    write_file(folder.file("model.safetensors"), bytes);
    EXPECT_THAT(refusal_text(Checkpoint::open(folder.path()).status()),
                AllOf(HasSubstr("model.safetensors"), HasSubstr(what)));
    const TempDir sharded;
    write_file(sharded.file("m-1.safetensors"), bytes);
    write_file(sharded.file("model.safetensors.index.json"),
               R"({"weight_map": {"a": "m-1.safetensors"}})");
    EXPECT_THAT(refusal_text(Checkpoint::open(sharded.path()).status()),
                AllOf(HasSubstr("m-1.safetensors"), HasSubstr(what)));
  }
}

TEST(FolderRefusal, PointersInPlaceOfTheOtherFiles) {
  const TempDir folder;
  for (const char* name : {"tokenizer.json", "generation_config.json", "config.json",
                           "model.safetensors.index.json"}) {
    write_file(folder.file(name), kPointer);
  }
  for (const absl::Status& status :
       {Tokenizer::load(folder.path()).status(), load_generation_config(folder.path()).status(),
        load_config(folder.path()).status(), Checkpoint::open(folder.path()).status()}) {
    EXPECT_THAT(refusal_text(status), HasSubstr("run \"git lfs pull\""));
  }
}

TEST(FolderRefusal, ArchitecturesAreNamed) {
  EXPECT_THAT(refusal("architectures", {"Qwen2VLForConditionalGeneration"}),
              AllOf(HasSubstr("Qwen2VLForConditionalGeneration"), HasSubstr("supported: Llama")));
  EXPECT_THAT(refusal("architectures", {std::string(5000, 'x')}), Not(HasSubstr("xxx\"")));
}

// Any first bytes: a clause or nothing, never a crash.
TEST(FolderRefusal, AnyBytesHaveAKindOrNone) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; b += 5) {
      const std::string head = {static_cast<char>(a), static_cast<char>(b)};
      for (const char* tail : {"", "\1", "PK\3\4 and more"}) foreign_kind(head + tail);
    }
  }
  EXPECT_EQ(foreign_kind("{\"a\": 1}"), "");
  EXPECT_EQ(foreign_kind(""), "");
}

}  // namespace
}  // namespace shoal::model
