// SPDX-License-Identifier: Apache-2.0
// Tokens that are declared beside tokenizer.json, as the reference takes them
// (scripts/fixtures/make_tokenizer_folders.py), and what is said about files that disagree.
#include <gmock/gmock.h>

#include "tests/model/tokenizer_fixture.h"

namespace shoal::model {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::TempDir;
using tests::write_file;

absl::StatusOr<Tokenizer> load(const TempDir& folder, const std::string& base, const json& patch,
                               const json& files) {
  json tokenizer = read_json(fixture(base + ".json"));
  tokenizer.merge_patch(patch);
  write_file(folder.file("tokenizer.json"), tokenizer.dump());
  for (const auto& [name, content] : files.items()) write_file(folder.file(name), content.dump());
  return Tokenizer::load(folder.path());
}

TEST(TokenizerFolder, DoesWithEveryFolderWhatTheReferenceDoes) {
  const auto cases = nlohmann::ordered_json::parse(
      read_file(std::string(SHOAL_SOURCE_DIR) + "/tests/fixtures/tokenizer_folders.json"));
  ASSERT_GT(cases.size(), 100u);
  for (const auto& item : cases) {
    const TempDir folder;
    json tokenizer = read_json(fixture(item["base"].get<std::string>() + ".json"));
    tokenizer.merge_patch(json::parse(item["patch"].dump()));
    write_file(folder.file("tokenizer.json"), tokenizer.dump());
    for (const auto& [name, content] : item["files"].items()) {
      write_file(folder.file(name), content.dump());
    }
    const absl::StatusOr<Tokenizer> loaded = Tokenizer::load(folder.path());
    ASSERT_TRUE(loaded.ok()) << loaded.status() << item["files"];
    for (const auto& text : item["texts"]) {
      const Ids expected = text[1].get<Ids>();
      EXPECT_EQ(loaded->encode(text[0].get<std::string>()).value(), expected)
          << text[0] << item["base"] << item["files"];
      EXPECT_EQ(loaded->decode(expected).value(), text[2].get<std::string>())
          << item["base"] << item["files"];
    }
    std::optional<std::int32_t> eos;
    if (!item["eos"].is_null()) eos = item["eos"].get<std::int32_t>();
    EXPECT_EQ(loaded->named_id("eos_token"), eos) << item["files"];
  }
}

TEST(TokenizerFolder, ChatFineTunesHaveTheirMarks) {
  const TempDir folder;
  const auto tokenizer = load(folder, "gpt2", json::object(),
                              {{"tokenizer_config.json",
                                {{"eos_token", "<|im_end|>"},
                                 {"additional_special_tokens", {"<|im_start|>", "<|im_end|>"}}}}});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(tokenizer->warnings(), IsEmpty());
  const auto end = tokenizer->named_id("eos_token");
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(tokenizer->is_special(*end));
  EXPECT_EQ(tokenizer->encode("<|im_end|>").value(), Ids{*end});
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a<|im_end|>b").value()).value(), "ab");
}

// The reference fails on these; older versions of it wrote them.
TEST(TokenizerFolder, TokensWithFlagsNeedNoTypeNote) {
  const json mark = {{"content", "<|im_end|>"}, {"lstrip", true}, {"rstrip", false}};
  for (const json& files :
       {json{{"tokenizer_config.json", {{"eos_token", mark}}}},
        json{{"tokenizer_config.json",
              {{"eos_token", "<|im_end|>"}, {"additional_special_tokens", {mark}}}}},
        json{{"special_tokens_map.json",
              {{"eos_token", mark}, {"additional_special_tokens", {mark, "<|x|>"}}}}}}) {
    const TempDir folder;
    const auto tokenizer = load(folder, "gpt2", json::object(), files);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    ASSERT_TRUE(tokenizer->named_id("eos_token").has_value()) << files;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode("a<|im_end|>").value()).value(), "a");
  }
}

TEST(TokenizerFolder, DisagreementsAreSaidInOneLine) {
  const TempDir folder;
  const json decoder = {{"900", {{"content", "<|im_end|>"}, {"special", true}}}};
  const auto tokenizer = load(folder, "llama3", json::object(),
                              {{"tokenizer_config.json",
                                {{"add_bos_token", false},
                                 {"add_eos_token", true},
                                 {"bos_token", "<|begin_of_text|>"},
                                 {"eos_token", "<|im_end|>"},
                                 {"pad_token", 5},
                                 {"added_tokens_decoder", decoder}}},
                               {"special_tokens_map.json", {{"eos_token", "<|eot_id|>"}}}});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(
      tokenizer->warnings(),
      ElementsAre(HasSubstr("pad_token is 5"),
                  testing::AllOf(HasSubstr("<|eot_id|>"), HasSubstr("<|im_end|>")),
                  testing::AllOf(HasSubstr("states the id 900"), HasSubstr("it gets 621")),
                  HasSubstr("says add_bos_token false, but the post-processor of tokenizer.json "
                            "adds it"),
                  HasSubstr("says add_eos_token true")));
}

TEST(TokenizerFolder, BrokenFilesAreNamed) {
  for (const char* name :
       {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    const TempDir folder;
    write_file(folder.file("tokenizer.json"), read_file(fixture("gpt2.json")));
    write_file(folder.file(name), "{\"a\": ");
    EXPECT_THAT(std::string(Tokenizer::load(folder.path()).status().message()),
                testing::AllOf(HasSubstr(name), HasSubstr("not JSON")));
    write_file(folder.file(name), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    EXPECT_THAT(std::string(Tokenizer::load(folder.path()).status().message()),
                testing::AllOf(HasSubstr(name), HasSubstr("git lfs pull")));
  }
}

// Any JSON in the three files: a tokenizer or an error, never an exception.
TEST(TokenizerFolder, OddValuesAreIgnoredWithAWord) {
  [[maybe_unused]] int count = 0;
  const json odd[] = {nullptr,
                      5,
                      "x",
                      true,
                      json::array(),
                      json::array({1, nullptr, {{"a", 1}}}),
                      json::object(),
                      {{"content", 1}},
                      {{"content", std::string(5000, 'x')}},
                      {{"-1", {{"content", "<q>"}}}, {"x", {{"content", "<r>"}}}, {"3", 1}}};
  for (const char* key : {"eos_token", "additional_special_tokens", "extra_special_tokens",
                          "added_tokens_decoder", "image_token", "add_bos_token"}) {
    for (const json& value : odd) {
      for (const char* name :
           {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
#ifdef SHOAL_SANITIZED
        if (++count % 4 != 0) continue;  // ten times as slow
#endif
        const TempDir folder;
        const auto tokenizer = load(folder, "gpt2", json::object(), {{name, {{key, value}}}});
        EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
      }
    }
  }
}

}  // namespace
}  // namespace shoal::model
