// SPDX-License-Identifier: Apache-2.0
// Every kind of tokenizer against the reference: exact ids and exact text, also for inputs made to
// go wrong.
#include <cstdio>

#include "model/tokenizer/utf8.h"
#include "tests/model/tokenizer_fixture.h"

namespace shoal::model {
namespace {

std::string fnv1a(const Ids& ids) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const std::int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ (static_cast<std::uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3u;
    }
  }
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

class TokenizerGolden : public ::testing::TestWithParam<std::string> {
 protected:
  TokenizerGolden()
      : tokenizer_(Tokenizer::parse(read_file(fixture(GetParam() + ".json")))),
        corpus_(read_json(fixture("corpus.json"))),
        golden_(read_json(fixture(GetParam() + ".golden.json"))),
        texts_(corpus_["texts"].get<std::vector<std::string>>()) {}
  void SetUp() override { ASSERT_TRUE(tokenizer_.ok()) << tokenizer_.status(); }

  Ids encode(const std::string& text, Tokenizer::EncodeOptions options) {
    auto ids = tokenizer_->encode(text, options);
    EXPECT_TRUE(ids.ok()) << ids.status();
    return ids.value_or(Ids());
  }
  std::string decode(const Ids& ids, bool skip) {
    auto text = tokenizer_->decode(ids, skip);
    EXPECT_TRUE(text.ok()) << text.status();
    return text.value_or("");
  }

  absl::StatusOr<Tokenizer> tokenizer_;
  nlohmann::json corpus_;
  nlohmann::json golden_;
  std::vector<std::string> texts_;
};

TEST_P(TokenizerGolden, EncodesTheCorpus) {
  const auto expected = golden_["ids"].get<std::vector<Ids>>();
  ASSERT_EQ(expected.size(), texts_.size());
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    EXPECT_EQ(encode(texts_[i], {.add_special_tokens = false}), expected[i])
        << "text " << i << ": " << nlohmann::json(texts_[i]);
  }
}

TEST_P(TokenizerGolden, AddsSpecialTokens) {
  const auto expected = golden_["with_special"].get<std::vector<Ids>>();
  ASSERT_FALSE(expected.empty());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(*tokenizer_->encode(texts_[i]), expected[i]) << nlohmann::json(texts_[i]);
  }
}

TEST_P(TokenizerGolden, LeavesControlTokensAsTextWhenAsked) {
  auto expected = golden_["ids"].get<std::vector<Ids>>();
  for (const auto& item : golden_["as_text"]) expected[item[0]] = item[1].get<Ids>();
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    EXPECT_EQ(encode(texts_[i], {.add_special_tokens = false, .parse_special_tokens = false}),
              expected[i])
        << nlohmann::json(texts_[i]);
  }
}

TEST_P(TokenizerGolden, DecodesTheCorpus) {
  const auto ids = golden_["ids"].get<std::vector<Ids>>();
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    for (const bool skip : {true, false}) {
      const auto& expected = golden_["decoded"][i][skip ? 0 : 1];
      EXPECT_EQ(decode(ids[i], skip), expected.is_null() ? texts_[i] : expected.get<std::string>())
          << nlohmann::json(texts_[i]);
    }
  }
}

TEST_P(TokenizerGolden, DecodesRandomIds) {
  ASSERT_GE(golden_["random"].size(), 40u);
  for (const auto& item : golden_["random"]) {
    const Ids ids = item[0].get<Ids>();
    EXPECT_EQ(decode(ids, true), item[1].get<std::string>()) << item[0];
    EXPECT_EQ(decode(ids, false), item[2].get<std::string>()) << item[0];
  }
}

TEST_P(TokenizerGolden, PiecesAreWhatTokensAddBehindOthers) {
  const Tokenizer& tokenizer = *tokenizer_;
  const auto before = *tokenizer.encode("x", {.add_special_tokens = false});
  const std::string shown = *tokenizer.decode(before);
  std::size_t compared = 0;
  for (const std::string& text : texts_) {
    auto ids = *tokenizer.encode(text, {.add_special_tokens = false});
    std::string pieces = shown;
    bool known = true;
    for (const std::int32_t id : ids) {
      const auto piece = tokenizer.piece(id);
      known = known && (piece.has_value() || tokenizer.is_special(id));
      pieces += piece.value_or("");
    }
    ids.insert(ids.begin(), before.begin(), before.end());
    if (!known || !is_utf8(pieces)) continue;
    EXPECT_EQ(*tokenizer.decode(ids), pieces) << text;
    ++compared;
  }
  EXPECT_GT(compared * 10, texts_.size() * 9);
}

TEST_P(TokenizerGolden, EncodesLongTextsWithoutABreak) {
  const auto units = corpus_["long_units"].get<std::vector<std::string>>();
  ASSERT_EQ(golden_["long"].size(), units.size());
  [[maybe_unused]] int count = 0;
  for (const auto& item : golden_["long"]) {
#ifdef SHOAL_SANITIZED
    if (++count % 4 != 0) continue;  // ten times as slow
#endif
    const std::string unit = units[item[0]];
    const Ids ids = encode(repeated(unit, item[1]), {.add_special_tokens = false});
    EXPECT_EQ(ids.size(), item[2].get<std::size_t>()) << nlohmann::json(unit);
    EXPECT_EQ(fnv1a(ids), item[3].get<std::string>()) << nlohmann::json(unit);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerGolden, ::testing::ValuesIn(tokenizer_kinds()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace shoal::model
