// SPDX-License-Identifier: Apache-2.0
// What a tokenizer.json may not be: each refusal is one sentence that names the part. Nothing is
// silently wrong.
#include "tests/model/tokenizer_fixture.h"

namespace shoal::model {
namespace {

using nlohmann::json;

json gpt2() { return read_json(fixture("gpt2.json")); }

// Loading the tokenizer after the change must fail, with all of the words in the one line of the
// error.
void expect_refused(const json& changed, const std::vector<std::string>& words) {
  const auto tokenizer = Tokenizer::parse(changed.dump());
  ASSERT_FALSE(tokenizer.ok()) << words.front();
  const std::string message(tokenizer.status().message());
  for (const std::string& word : words) EXPECT_NE(message.find(word), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
}

json with(const char* pointer, const json& value) {
  json changed = gpt2();
  changed[json::json_pointer(pointer)] = value;
  return changed;
}

TEST(TokenizerRefusal, TheUnchangedFileLoads) { EXPECT_TRUE(Tokenizer::parse(gpt2().dump()).ok()); }

TEST(TokenizerRefusal, UnknownParts) {
  expect_refused(with("/model/type", "WordPiece"), {"model", "WordPiece", "only BPE"});
  expect_refused(with("/model/type", "Unigram"), {"model", "Unigram"});
  expect_refused(with("/normalizer", {{"type", "Lowercase"}}), {"normalizer", "Lowercase"});
  expect_refused(
      with("/normalizer", json::parse(R"({"type":"Sequence","normalizers":[{"type":"NFKC"}]})")),
      {"normalizer.normalizers[0]", "NFKC"});
  expect_refused(with("/pre_tokenizer", {{"type", "BertPreTokenizer"}}),
                 {"pre_tokenizer", "BertPreTokenizer"});
  expect_refused(with("/post_processor", {{"type", "RobertaProcessing"}}),
                 {"post_processor", "RobertaProcessing"});
  expect_refused(with("/decoder", {{"type", "WordPiece"}}), {"decoder", "WordPiece"});
  expect_refused(with("/version", "2.0"), {"version"});
}

TEST(TokenizerRefusal, SettingsThatWouldChangeTheResult) {
  expect_refused(with("/model/dropout", 0.1), {"dropout"});
  expect_refused(with("/model/continuing_subword_prefix", "##"), {"continuing_subword_prefix"});
  expect_refused(with("/model/end_of_word_suffix", "</w>"), {"end_of_word_suffix"});
  expect_refused(with("/model/new_switch", true), {"model", "new_switch"});
  expect_refused(with("/pre_tokenizer/new_switch", true), {"pre_tokenizer", "new_switch"});
  expect_refused(with("/new_part", 1), {"new_part"});
  EXPECT_TRUE(Tokenizer::parse(with("/model/end_of_word_suffix", "").dump()).ok());
  EXPECT_TRUE(Tokenizer::parse(with("/model/dropout", 0.0).dump()).ok());
}

TEST(TokenizerRefusal, BrokenVocabularies) {
  expect_refused(with("/model/vocab/zzz", 5), {"model", "zzz", "5"});
  expect_refused(with("/model/vocab/zzz", -1), {"zzz"});
  expect_refused(with("/model/vocab/zzz", 1.5), {"zzz"});
  expect_refused(with("/model/vocab/zzz", "7"), {"zzz"});
  expect_refused(with("/model/vocab/zzz", 1 << 24), {"zzz"});
  expect_refused(with("/model/vocab/zzz", std::uint64_t{1} << 63), {"zzz"});
  expect_refused(with("/model/vocab", json::object()), {"vocab"});
  expect_refused(with("/model/vocab", json::array()), {"vocab"});
  expect_refused(with("/model/merges", 3), {"merges"});
  json added = gpt2();
  added["added_tokens"][0]["id"] = 77;
  expect_refused(added, {"added_tokens[0]", "77", "<|endoftext|>"});
  json twice = gpt2();
  twice["added_tokens"].push_back(twice["added_tokens"][0]);
  expect_refused(twice, {"added_tokens[1]", "twice"});
  json flagless = gpt2();
  flagless["added_tokens"][0].erase("lstrip");
  expect_refused(flagless, {"added_tokens[0]", "lstrip"});
}

TEST(TokenizerRefusal, BrokenMerges) {
  const auto with_merge = [](const json& merge) {
    json changed = gpt2();
    changed["model"]["merges"].push_back(merge);
    return changed;
  };
  expect_refused(with_merge({"a", "missing"}), {"merge", "missing"});
  expect_refused(with_merge({"Q", "Q"}), {"merge", "\"QQ\"", "not in the vocabulary"});
  expect_refused(with_merge("a b c"), {"merge", "a b c"});
  expect_refused(with_merge("ab"), {"merge", "ab"});
  expect_refused(with_merge({"a"}), {"merge"});
  expect_refused(with_merge(4), {"merge"});
}

TEST(TokenizerRefusal, BrokenTemplatesAndDecoders) {
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json special = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const auto template_of = [](const json& single, const json& specials) {
    return with("/post_processor", {{"type", "TemplateProcessing"},
                                    {"single", single},
                                    {"pair", json::array()},
                                    {"special_tokens", specials}});
  };
  const json known = {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}}};
  EXPECT_TRUE(Tokenizer::parse(template_of({special, text}, known).dump()).ok());
  expect_refused(template_of({special, text}, json::object()), {"post_processor", "<s>"});
  expect_refused(template_of({special}, known), {"post_processor"});
  expect_refused(template_of({text, text}, known), {"post_processor", "A"});
  const json far = {{"<s>", {{"id", "<s>"}, {"ids", {4000}}, {"tokens", {"<s>"}}}}};
  expect_refused(template_of({special, text}, far), {"post_processor", "4000"});
  expect_refused(
      with("/decoder",
           json::parse(
               R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]})")),
      {"decoder.decoders[1]", "after Fuse"});
  expect_refused(
      with("/decoder", json::parse(R"({"type":"Replace","pattern":{"String":""},"content":"x"})")),
      {"decoder.pattern", "empty"});
}

TEST(TokenizerRefusal, PatternsThatTheEnginesReadDifferently) {
  for (const char* pattern :
       {"\\w+",  "\\bx",        "\\h",      "[a&&b]", "[a[b]]",  "(?x)a", "(?<name>a)", "\\p{Han}",
        "a{2}?", "a+++",        "(?i:ss)",  "(",      ")",       "[",     "[]",         "a{",
        "\\",    "(?i:\\p{L})", "[\\P{L}]", "(*UCP)", "[a-\\s]", "\\1",   "\\x41",      "\\G"}) {
    const json split = {{"type", "Split"},
                        {"pattern", {{"Regex", pattern}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
    expect_refused(with("/pre_tokenizer", split), {"pre_tokenizer", "the pattern"});
  }
}

TEST(TokenizerRefusal, FilesThatAreNoTokenizer) {
  for (const std::string text :
       {"", "{", "null", "[]", "\"x\"", "{}", "{\"model\":7}", "\xFF\xFE", "{\"version\":1}"}) {
    EXPECT_FALSE(Tokenizer::parse(text).ok()) << text;
  }
  EXPECT_FALSE(Tokenizer::parse(std::string(1'000'000, '[')).ok());
  EXPECT_FALSE(Tokenizer::parse("[" + std::string(std::size_t{1} << 25, ',') + "]").ok());
  const std::string whole = gpt2().dump();
  for (std::size_t length = 1; length < whole.size(); length += whole.size() / 97) {
    EXPECT_FALSE(Tokenizer::parse(whole.substr(0, length)).ok()) << length;
  }
  const auto missing = Tokenizer::load("/nonexistent/model");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find("/nonexistent/model/tokenizer.json"),
            std::string::npos);
}

}  // namespace
}  // namespace shoal::model
