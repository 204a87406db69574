// SPDX-License-Identifier: Apache-2.0
// The bundled model's tokenizer against the ids that its golden file states.
#include <algorithm>

#include "tests/model/tokenizer_fixture.h"

namespace shoal::model {
namespace {

const std::string kDemo = std::string(SHOAL_SOURCE_DIR) + "/models/demo";

class TokenizerDemo : public ::testing::Test {
 protected:
  TokenizerDemo() : tokenizer_(Tokenizer::load(kDemo)) {}
  void SetUp() override {
    ASSERT_TRUE(tokenizer_.ok()) << tokenizer_.status();
    golden_ = read_json(kDemo + "/golden.json");
  }
  Ids encode(const std::string& text) {
    auto ids = tokenizer_->encode(text);
    EXPECT_TRUE(ids.ok()) << ids.status();
    return ids.value_or(Ids());
  }

  absl::StatusOr<Tokenizer> tokenizer_;
  nlohmann::json golden_;
};

TEST_F(TokenizerDemo, EncodesTheGoldenCases) {
  ASSERT_GE(golden_["tokenizer"].size(), 11u);
  for (const auto& item : golden_["tokenizer"]) {
    const std::string text = item["text"];
    EXPECT_EQ(encode(text), item["ids"].get<Ids>()) << text;
    EXPECT_EQ(*tokenizer_->decode(encode(text)), text);
  }
  for (const auto& item : golden_["prompts"]) {
    EXPECT_EQ(encode(item["prompt"]), item["prompt_ids"].get<Ids>());
  }
}

TEST_F(TokenizerDemo, EncodesTheHeldOutTextToTheGoldenCount) {
  const std::string text = read_file(kDemo + "/heldout.txt");
  const Ids ids = encode(text);
  ASSERT_EQ(ids.size(), golden_["heldout"]["targets"].get<std::size_t>() + 1);
  const auto first = golden_["heldout"]["first_ids"].get<Ids>();
  const auto last = golden_["heldout"]["last_ids"].get<Ids>();
  EXPECT_EQ(Ids(ids.begin(), ids.begin() + 16), first);
  EXPECT_EQ(Ids(ids.end() - static_cast<std::ptrdiff_t>(last.size()), ids.end()), last);
  EXPECT_EQ(*tokenizer_->decode(ids), text);
}

TEST_F(TokenizerDemo, KnowsItsControlTokens) {
  EXPECT_EQ(tokenizer_->size(), 4096);
  EXPECT_EQ(tokenizer_->id_of("<|begin_of_text|>"), 0);
  EXPECT_EQ(tokenizer_->id_of("<|end_of_text|>"), 1);
  EXPECT_EQ(tokenizer_->id_of("<|no such token|>"), std::nullopt);
  EXPECT_TRUE(tokenizer_->is_special(1));
  EXPECT_FALSE(tokenizer_->is_special(2));
  EXPECT_FALSE(tokenizer_->is_special(-1));
  const std::string text = "One.<|end_of_text|>Two.";
  const auto as_token = *tokenizer_->encode(text, {.add_special_tokens = false});
  const auto as_text =
      *tokenizer_->encode(text, {.add_special_tokens = false, .parse_special_tokens = false});
  EXPECT_EQ(std::count(as_token.begin(), as_token.end(), 1), 1);
  EXPECT_EQ(std::count(as_text.begin(), as_text.end(), 1), 0);
  EXPECT_EQ(*tokenizer_->decode(as_token, /*skip_special_tokens=*/true), "One.Two.");
  EXPECT_EQ(*tokenizer_->decode(as_token, /*skip_special_tokens=*/false), text);
  EXPECT_EQ(*tokenizer_->decode(as_text), text);
}

TEST_F(TokenizerDemo, RefusesWhatIsNoTextAndNoToken) {
  for (const std::string text : {"\xFF", "a\xC3", "\xED\xA0\x80", "\xC0\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_EQ(tokenizer_->encode(text).status().code(), absl::StatusCode::kInvalidArgument);
  }
  for (const std::int32_t id : {-2147483647, -1, 1 << 24, 2147483647}) {
    EXPECT_EQ(tokenizer_->decode(Ids{id}).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace shoal::model
