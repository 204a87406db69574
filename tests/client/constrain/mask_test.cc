// SPDX-License-Identifier: Apache-2.0
// Tokens under a constraint: those that are allowed, and what is made of random ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "client/constrain/constraint.h"
#include "client/constrain/constraint_shelf.h"
#include "client/constrain/limits.h"
#include "client/constrain/state_space.h"
#include "client/text/sampler.h"
#include "model/tokenizer.h"
#include "tests/client/constrain/texts.h"
#include "tests/client/golden.h"

namespace shoal::client::constrain {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr std::int32_t kEos = 1;

std::vector<float> random_logits(base::Random& random, std::size_t size) {
  std::vector<float> logits(size);
  for (float& logit : logits) logit = static_cast<float>(random.uniform() * 8);
  return logits;
}

class ConstraintMask : public ::testing::Test {
 protected:
  std::shared_ptr<TokenConstraint> find(const Form& form) {
    auto found = shelf_.find({form});
    EXPECT_TRUE(found.ok()) << found.status();
    return *found;
  }
  std::size_t vocabulary() const { return static_cast<std::size_t>(tokenizer_.size()); }

  // Tokens drawn from random logits until the constraint, or EOS, ends the text.
  std::string draw(const Form& form, base::Random& random, std::size_t most) {
    ConstrainedText text(find(form), {kEos});
    std::vector<std::int32_t> ids;
    SamplingOptions options;
    options.greedy = false;
    options.temperature = 1.5;
    Sampler sampler(options, static_cast<std::uint64_t>(random.uniform() * 1e9));
    while (!text.ended() && ids.size() < most) {
      std::vector<float> logits = random_logits(random, vocabulary());
      // What ends things is likelier, or most texts would never end.
      for (const char* token : {"\"", "}", "]", "0"}) {
        logits[static_cast<std::size_t>(*tokenizer_.id_of(token))] += 14;
      }
      logits[kEos] += 6;
      EXPECT_TRUE(text.mask(logits).ok());
      const std::int32_t id = sampler.next(logits, ids);
      EXPECT_GT(logits[static_cast<std::size_t>(id)], kForbidden);
      EXPECT_TRUE(text.accept(id).ok());
      ids.push_back(id);
    }
    EXPECT_TRUE(text.ended()) << *tokenizer_.decode(ids);
    return *tokenizer_.decode(ids);
  }

  const model::Tokenizer tokenizer_ = *model::Tokenizer::load(demo_folder());
  ConstraintShelf shelf_{tokenizer_};
};

TEST_F(ConstraintMask, PiecesAreWhatTheDecoderMakes) {
  const auto before = *tokenizer_.encode("x");
  const std::string shown = *tokenizer_.decode(before);
  std::size_t whole = 0;
  for (std::int32_t id = 0; id < tokenizer_.size(); ++id) {
    const auto piece = tokenizer_.piece(id);
    ASSERT_EQ(piece.has_value(), !tokenizer_.is_special(id)) << id;
    auto ids = before;
    ids.push_back(id);
    const std::string decoded = tokenizer_.decode(ids)->substr(shown.size());
    if (!piece || decoded.find("\xEF\xBF\xBD") != std::string::npos) continue;
    EXPECT_EQ(*piece, decoded);
    ++whole;
  }
  EXPECT_GT(whole, 1000u);
}

TEST_F(ConstraintMask, IsWhatTryingEachTokenGives) {
  base::Random random(7);
  const PieceTrie pieces(tokenizer_);
  for (const Form& form :
       {Form(RegexForm{"([a-z]+ ){2,5}\\d*(\xC3\xA9|.)?"}), schema_form("{}"),
        schema_form(R"({"type":"object","properties":{"a":{"type":"string","maxLength":5},
                       "b":{"type":"array","items":{"type":"integer","minimum":7}}}})"),
        Form(ChoiceForm{{"Once upon a time", "Once", "there"}})}) {
    const auto constraint = find(form);
    Texts texts(form);
    for (int round = 0; round < 6; ++round) {
      ConstrainedText text(constraint, {kEos});
      std::string so_far;
      for (int step = 0; step < 6 && !text.ended(); ++step) {
        std::vector<float> logits(vocabulary(), 0);
        ASSERT_TRUE(text.mask(logits).ok());
        std::vector<std::int32_t> may;
        const StateId state = texts.space().next(texts.space().start(), so_far);
        for (std::int32_t id = 0; id < tokenizer_.size(); ++id) {
          const auto& piece = pieces.piece(id);
          const bool expected =
              id == kEos ? texts.space().accepts(state)
                         : piece && !piece->empty() && texts.space().next(state, *piece) != kDead;
          const bool got = logits[static_cast<std::size_t>(id)] > kForbidden;
          ASSERT_EQ(got, expected) << so_far << " and " << piece.value_or("?");
          if (got && id != kEos) may.push_back(id);
        }
        if (may.empty()) break;
        const std::int32_t id =
            may[static_cast<std::size_t>(random.uniform() * static_cast<double>(may.size()))];
        so_far += *pieces.piece(id);
        ASSERT_TRUE(text.accept(id).ok());
      }
    }
  }
}

TEST_F(ConstraintMask, RandomTokensMakeJson) {
  base::Random random(3);
  for (int i = 0; i < 40; ++i) {
    const std::string text = draw(schema_form(R"({"type":"object"})"), random, 3000);
    EXPECT_TRUE(Json::accept(text)) << text;
    EXPECT_TRUE(Json::parse(text).is_object());
  }
  for (int i = 0; i < 20; ++i) {
    const std::string text =
        draw(schema_form(R"({"type":"object","required":["name","age"],"properties":{
            "name":{"type":"string","minLength":1,"maxLength":8},
            "age":{"type":"integer","minimum":0,"maximum":150},
            "kind":{"enum":["a","b",null]}}})"),
             random, 3000);
    const Json json = Json::parse(text);
    EXPECT_GE(json["age"], 0) << text;
    EXPECT_LE(json["age"], 150) << text;
    EXPECT_TRUE(json["name"].is_string());
  }
}

TEST_F(ConstraintMask, MasksAreMadeOncePerState) {
  const auto constraint = find(RegexForm{"[a-z ]*"});
  EXPECT_EQ(constraint, find(RegexForm{"[a-z ]*"}));
  ConstrainedText text(constraint, {kEos}), other(constraint, {kEos});
  const std::int32_t id = *tokenizer_.id_of("a");
  for (int i = 0; i < 50; ++i) {
    std::vector<float> logits(vocabulary(), 0);
    ASSERT_TRUE(text.mask(logits).ok());
    ASSERT_TRUE(text.accept(id).ok());
    ASSERT_TRUE(other.mask(logits).ok());
  }
  EXPECT_LE(constraint->masks_made(), 2u);
}

TEST_F(ConstraintMask, WhatGrowsTooLargeBeginsAnew) {
  const auto constraint = find(RegexForm{"a{9000}b"});
  ConstrainedText text(constraint, {kEos});
  const std::int32_t a = *tokenizer_.id_of("a");
  for (int i = 0; i < 9000; ++i) {
    if (i % 500 == 0) {
      std::vector<float> logits(vocabulary(), 0);
      ASSERT_TRUE(text.mask(logits).ok());
      EXPECT_GT(logits[static_cast<std::size_t>(a)], kForbidden);
    }
    ASSERT_TRUE(text.accept(a).ok()) << i;
  }
  ASSERT_TRUE(text.accept(*tokenizer_.id_of("b")).ok());
  EXPECT_TRUE(text.ended());
}

TEST_F(ConstraintMask, NothingLeftIsAnError) {
  ConstrainedText text(find(RegexForm{"ab"}), {kEos});
  std::vector<float> logits(vocabulary(), kForbidden);
  logits[static_cast<std::size_t>(*tokenizer_.id_of("x"))] = 1;
  const absl::Status status = text.mask(logits);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no token"));
  EXPECT_EQ(text.accept(kEos).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ConstraintMask, WhatEndsATextIsNoPartOfIt) {
  // Also if it is a token with a text of its own.
  const std::int32_t a = *tokenizer_.id_of("a"), b = *tokenizer_.id_of("b");
  ConstrainedText text(find(RegexForm{"[ab]*b"}), {a});
  std::vector<float> logits(vocabulary(), 0);
  ASSERT_TRUE(text.mask(logits).ok());
  EXPECT_EQ(logits[static_cast<std::size_t>(a)], kForbidden);
  EXPECT_FALSE(text.accept(a).ok());
  ASSERT_TRUE(text.accept(b).ok());
  logits.assign(vocabulary(), 0);
  ASSERT_TRUE(text.mask(logits).ok());
  EXPECT_EQ(logits[static_cast<std::size_t>(a)], 0);
  ASSERT_TRUE(text.accept(a).ok());
  EXPECT_TRUE(text.ended());
}

TEST(StateSpace, TooManyWaysAreAnErrorNotAWait) {
  // Each letter may be the one that is counted from: as many states as there are sets of them.
  const auto grammar = grammar_of({RegexForm{"(.*a.{20}|.*e.{30}|.*[o-z].{40})*"}});
  ASSERT_TRUE(grammar.ok()) << grammar.status();
  StateSpace space(*grammar);
  std::mt19937 random(1);
  StateId state = space.start();
  std::size_t most = 0;
  for (int i = 0; i < 100'000 && state != kDead; ++i) {
    state = space.next(state, static_cast<unsigned char>("aeoxb"[random() % 5]));
    most = std::max(most, space.size());
  }
  EXPECT_EQ(state, kDead);
  EXPECT_EQ(space.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(space.status().message()), HasSubstr("too many ways"));
  EXPECT_LT(most, kMaxStates + 64);
}

}  // namespace
}  // namespace shoal::client::constrain
