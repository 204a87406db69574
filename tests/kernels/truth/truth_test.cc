// SPDX-License-Identifier: Apache-2.0
// The questions that a card is asked, put to the emulator: under its own rule it answers right,
// under another it must be found out; so must one wrong bit in any answer.
#include "tests/kernels/truth/truth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/cuda/emulator/machine.h"
#include "tests/kernels/truth/ceilings.cuh"
#include "tests/kernels/truth/tiles.h"

namespace shoal::kernels::cuda::truth {
namespace {

using emulator::Machine;
using emulator::MmaRule;

#if defined(SHOAL_SANITIZED)
constexpr std::int64_t kTiles = 33;
#else
constexpr std::int64_t kTiles = 320;
#endif

class Truth : public testing::TestWithParam<MmaRule> {};
INSTANTIATE_TEST_SUITE_P(Rules, Truth, testing::Values(MmaRule::kAmpere, MmaRule::kHopper));

MmaRule other_than(MmaRule rule) {
  return rule == MmaRule::kAmpere ? MmaRule::kHopper : MmaRule::kAmpere;
}

TEST_P(Truth, FindsNothingInACardThatKeepsItsRule) {
  const auto back = emulated_back(GetParam(), 3);
  const auto outcomes = check(*back, {.seed = 7, .tiles = kTiles, .rule = GetParam()});
  int decided = 0;
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.right()) << outcome.what << ": " << outcome.first << outcome.failure;
    EXPECT_GT(outcome.outputs, 0) << outcome.what;
    decided += outcome.decides ? 1 : 0;
    // The other rules are told apart from this one.
    if (!outcome.decides) {
      EXPECT_GT(outcome.differ, 0) << outcome.what;
    }
  }
  EXPECT_EQ(decided, 14);
}

TEST_P(Truth, FindsACardThatKeepsAnotherRule) {
  const auto back = emulated_back(other_than(GetParam()), 3);
  const auto outcomes = check(*back, {.seed = 7, .tiles = kTiles, .rule = GetParam()});
  int found = 0;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.decides || outcome.what.find("bf16") == std::string::npos) continue;
    found += outcome.differ > 0 ? 1 : 0;
    EXPECT_EQ(outcome.differ > 0, outcome.first.find(", not ") != std::string::npos);
  }
  EXPECT_GE(found, 5) << "kinds of tiles";
  for (const Outcome& outcome : outcomes) {
    if (outcome.what.find("chain") == std::string::npos) continue;
    EXPECT_GT(outcome.differ, 0) << outcome.what;
  }
}

// One bit of one answer of each part.
class Liar final : public Back {
 public:
  explicit Liar(Part part) : part_(part) {}
  std::string name() const override { return "liar"; }
  MmaRule rule() const override { return MmaRule::kHopper; }
  std::string ceilings() override { return {}; }
  std::string run(Part part, std::span<const std::uint32_t> in, std::int64_t items,
                  std::span<std::uint32_t> out) override {
    const std::string why = honest_->run(part, in, items, out);
    if (part == part_ && !lied_) out[out.size() - 1] ^= 1u;
    lied_ = lied_ || part == part_;
    return why;
  }

 private:
  const Part part_;
  bool lied_ = false;
  const std::unique_ptr<Back> honest_ = emulated_back(MmaRule::kHopper, 1);
};

TEST(TruthOfParts, FindsOneWrongBit) {
  for (const Part part : {Part::kMmaBf16, Part::kMmaBf16Chain, Part::kMmaS8, Part::kMatrices,
                          Part::kShuffles, Part::kScalars}) {
    Liar liar(part);
    std::int64_t differ = 0;
    for (const Outcome& outcome : check(liar, {.tiles = 33, .rule = MmaRule::kHopper})) {
      if (outcome.decides) differ += outcome.differ;
    }
    EXPECT_EQ(differ, 1) << static_cast<int>(part);
  }
}

class Broken final : public Back {
 public:
  std::string name() const override { return "broken"; }
  MmaRule rule() const override { return MmaRule::kHopper; }
  std::string ceilings() override { return {}; }
  std::string run(Part, std::span<const std::uint32_t>, std::int64_t,
                  std::span<std::uint32_t>) override {
    return "an illegal address";
  }
};
TEST(TruthOfParts, ACardThatFailsIsNotRight) {
  Broken broken;
  for (const Outcome& outcome : check(broken, {.tiles = 3})) {
    EXPECT_FALSE(outcome.right()) << outcome.what;
  }
}

// Kinds of tiles are what their names say.
TEST(Tiles, ReachTheEndsOfTheRange) {
  const auto count = [](Kind kind, auto&& is) {
    Draw draw(1);
    std::vector<std::uint32_t> words(kTileD + kTileA + kTileB);
    std::int64_t found = 0;
    for (int i = 0; i < 20; ++i) {
      fill_bf16_tile(draw, kind, 1, words);
      for (int at = kTileD; at < kTileD + kTileA + kTileB; ++at) {
        for (const std::uint32_t bits : {words[static_cast<std::size_t>(at)] << 16,
                                         words[static_cast<std::size_t>(at)] & 0xffff0000u}) {
          found += is(bits & 0x7fffffffu) ? 1 : 0;
        }
      }
    }
    return found;
  };
  const auto infinite = [](std::uint32_t size) { return size == 0x7f800000u; };
  const auto nan = [](std::uint32_t size) { return size > 0x7f800000u; };
  const auto tiny = [](std::uint32_t size) { return size != 0 && size < 0x00800000u; };
  EXPECT_GT(count(Kind::kSpecial, infinite), 20);
  EXPECT_GT(count(Kind::kSpecial, nan), 20);
  EXPECT_GT(count(Kind::kSubnormal, tiny), 100);
  EXPECT_GT(count(Kind::kAnyBits, nan), 5);
  for (const Kind kind : {Kind::kOneBinade, Kind::kFortyBinades, Kind::kAllBinades,
                          Kind::kCancelling, Kind::kSubnormal}) {
    EXPECT_EQ(count(kind, infinite) + count(kind, nan), 0) << name_of(kind);
  }
}

// ---- ceilings: that they do what they count

TEST(Ceilings, ReadEachWordOnce) {
  constexpr int kCtas = 3, kEach = kReadThreads * kReadUnder;
  const std::int64_t quads = 5 * kEach;
  std::vector<uint4> words(static_cast<std::size_t>(quads));
  Draw draw(5);
  std::uint32_t all = 0, got = 0;
  for (uint4& quad : words) {
    quad = {draw.word(), draw.word(), draw.word(), draw.word()};
    all ^= quad.x ^ quad.y ^ quad.z ^ quad.w;
  }
  std::vector<std::uint32_t> out(kCtas * kReadThreads);
  Machine machine({});
  machine.run({kCtas, 1, 1}, kReadThreads, 0, [&] {
    read_all({words.data(), out.data(), quads, kCtas});
  });
  for (const std::uint32_t word : out) got ^= word;
  EXPECT_EQ(got, all);
}

TEST(Ceilings, ComputeWhatTheyCount) {
  Machine machine({.mma_rule = MmaRule::kHopper});
  for (const auto kernel : {&rate_fma, &rate_mma_bf16, &rate_mma_s8}) {
    std::vector<std::uint32_t> once(kRateThreads), thrice(kRateThreads);
    machine.run({1, 1, 1}, kRateThreads, 0, [&] { kernel({once.data(), 1}); });
    machine.run({1, 1, 1}, kRateThreads, 0, [&] { kernel({thrice.data(), 3}); });
    const auto same = std::inner_product(once.begin(), once.end(), thrice.begin(), 0, std::plus<>(),
                                         std::equal_to<>());
    EXPECT_LT(same, kRateThreads / 8) << "more rounds give the same";
  }
}

}  // namespace
}  // namespace shoal::kernels::cuda::truth
