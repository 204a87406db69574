// SPDX-License-Identifier: Apache-2.0
// Incremental decoding: whatever the ids, the pieces together are the decoded text, and each is
// whole UTF-8.
#include <algorithm>
#include <chrono>
#include <random>

#include "model/tokenizer/utf8.h"
#include "tests/model/tokenizer_fixture.h"

namespace shoal::model {
namespace {

struct Streamed {
  std::string text;
  std::vector<std::string> pieces;
};

Streamed stream(const Tokenizer& tokenizer, const Ids& ids, bool skip) {
  TextStream stream(tokenizer, skip);
  Streamed result;
  for (const std::int32_t id : ids) {
    result.pieces.push_back(*stream.push(id));
    result.text += result.pieces.back();
  }
  result.pieces.push_back(stream.finish());
  result.text += result.pieces.back();
  return result;
}

class TokenizerStream : public ::testing::TestWithParam<std::string> {};

// The reference's text for random ids is in the fixtures: so the stream is held against it, not
// against decode() alone.
TEST_P(TokenizerStream, PiecesAreTheReferencesText) {
  const auto tokenizer = Tokenizer::parse(read_file(fixture(GetParam() + ".json")));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto golden = read_json(fixture(GetParam() + ".golden.json"));
  for (const auto& item : golden["random"]) {
    for (const bool skip : {true, false}) {
      const Streamed streamed = stream(*tokenizer, item[0].get<Ids>(), skip);
      EXPECT_EQ(streamed.text, item[skip ? 1 : 2].get<std::string>()) << item[0];
      for (const std::string& piece : streamed.pieces) EXPECT_TRUE(is_utf8(piece)) << item[0];
    }
  }
}

TEST_P(TokenizerStream, RandomIdsOfAnyLengthDecodeAlike) {
  const auto tokenizer = Tokenizer::parse(read_file(fixture(GetParam() + ".json")));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::mt19937 random(11);
  const auto size = static_cast<std::int32_t>(tokenizer->size());
  for (int round = 0; round < 300; ++round) {
    // Half of the rounds draw from the first ids alone, where control and byte tokens are.
    std::uniform_int_distribution<std::int32_t> any(
        0, round % 2 == 0 ? size - 1 : std::min(size, 259) - 1);
    Ids ids(random() % 64);
    for (std::int32_t& id : ids) id = any(random);
    const bool skip = round % 3 == 0;
    const Streamed streamed = stream(*tokenizer, ids, skip);
    EXPECT_EQ(streamed.text, *tokenizer->decode(ids, skip));
    for (const std::string& piece : streamed.pieces) EXPECT_TRUE(is_utf8(piece));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerStream, ::testing::ValuesIn(tokenizer_kinds()),
                         [](const auto& info) { return info.param; });

TEST(TextStream, HoldsBackOnlyWhatMayStillChange) {
  const auto gpt2 = Tokenizer::parse(read_file(fixture("gpt2.json")));
  ASSERT_TRUE(gpt2.ok());
  // An emoji whose four bytes are single tokens: nothing, nothing, nothing, all of it.
  const Ids ids = *gpt2->encode("x🂡y", {.add_special_tokens = false});
  ASSERT_GE(ids.size(), 4u);
  TextStream stream(*gpt2);
  std::string text;
  for (const std::int32_t id : ids) text += *stream.push(id);
  EXPECT_EQ(text, "x🂡y");
  EXPECT_EQ(stream.finish(), "");

  TextStream broken(*gpt2);
  const std::int32_t lead = *gpt2->id_of("ð");  // byte F0: a character begins
  EXPECT_EQ(*broken.push(lead), "");
  EXPECT_EQ(*broken.push(*gpt2->id_of("a")), "\uFFFDa");
  EXPECT_EQ(*broken.push(lead), "");
  EXPECT_EQ(broken.finish(), "\uFFFD");
}

TEST(TextStream, ByteFallbackRunsAreWholeOrReplacedByteByByte) {
  const auto llama2 = Tokenizer::parse(read_file(fixture("llama2_legacy.json")));
  ASSERT_TRUE(llama2.ok());
  const auto byte = [&](const char* name) { return *llama2->id_of(name); };
  TextStream stream(*llama2);
  EXPECT_EQ(*stream.push(byte("<0xC3>")), "");
  EXPECT_EQ(*stream.push(byte("<0xA9>")), "");  // é, unless a broken byte follows in the same run
  EXPECT_EQ(*stream.push(byte("<0xFF>")), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(*stream.push(byte("<0x41>")),
            "\uFFFD");  // from now on every byte of the run is certain
  EXPECT_EQ(*stream.push(*llama2->id_of("a")), "a");
  EXPECT_EQ(*stream.push(byte("<0xC3>")), "");
  EXPECT_EQ(*stream.push(1), "");  // a skipped control token does not end the run
  EXPECT_EQ(*stream.push(byte("<0xA9>")), "");
  EXPECT_EQ(*stream.push(*llama2->id_of("a")), "éa");
  EXPECT_EQ(stream.finish(), "");
}

// What the reference's decode() does with ids behind the vocabulary, or in a gap of it.
TEST(TextStream, IdsThatNoTokenHasArePassedOver) {
  nlohmann::json file = read_json(fixture("gpt2.json"));
  const auto plain = Tokenizer::parse(file.dump());
  ASSERT_TRUE(plain.ok());
  const auto size = static_cast<std::int32_t>(plain->size());
  file["model"]["vocab"]["far"] = size + 10;
  const auto gap = Tokenizer::parse(file.dump());
  ASSERT_TRUE(gap.ok()) << gap.status();
  ASSERT_EQ(gap->size(), size + 11);
  // Between the bytes of a character, too.
  const Ids whole = *gap->encode("é🂡 x", {.add_special_tokens = false});
  Ids ids;
  for (const std::int32_t id : whole) {
    ids.insert(ids.end(), {size, id, size + 9, size + 11, (1 << 24) - 1});
  }
  for (const Tokenizer* tokenizer : {&*plain, &*gap}) {
    EXPECT_EQ(*tokenizer->decode(ids), "é🂡 x");
    EXPECT_EQ(stream(*tokenizer, ids, false).text, "é🂡 x");
  }
  EXPECT_EQ(*gap->decode(Ids{size, size + 10, size + 11}), "far");

  const auto llama2 = Tokenizer::parse(read_file(fixture("llama2_legacy.json")));
  ASSERT_TRUE(llama2.ok());
  const auto behind = static_cast<std::int32_t>(llama2->size());
  const Ids run{*llama2->id_of("<0xC3>"), behind, *llama2->id_of("<0xA9>")};
  EXPECT_EQ(*llama2->decode(run), "é");
}

TEST(TextStream, OnlyTheFirstBlankIsStripped) {
  const auto llama2 = Tokenizer::parse(read_file(fixture("llama2_legacy.json")));
  ASSERT_TRUE(llama2.ok());
  const std::int32_t blank = *llama2->id_of("▁");
  TextStream stream(*llama2);
  EXPECT_EQ(*stream.push(1), "");
  EXPECT_EQ(*stream.push(blank), "");
  EXPECT_EQ(*stream.push(blank), " ");
  EXPECT_EQ(stream.finish(), "");
}

// Text of 400,000 tokens: a stream whose cost grew with what it has seen would need hours.
TEST(TextStream, LongTextsStreamInLinearTime) {
  for (const std::string kind : {"gpt2", "llama2_legacy"}) {
    const auto tokenizer = Tokenizer::parse(read_file(fixture(kind + ".json")));
    ASSERT_TRUE(tokenizer.ok());
    const Ids once = *tokenizer->encode(" été 🂡 story", {.add_special_tokens = false});
    TextStream stream(*tokenizer);
    std::size_t bytes = 0;
    std::size_t tokens = 0;
    while (tokens < 400'000) {
      for (const std::int32_t id : once) bytes += stream.push(id)->size();
      tokens += once.size();
    }
    bytes += stream.finish().size();
    EXPECT_GT(bytes, tokens / 2);
  }
}

}  // namespace
}  // namespace shoal::model
