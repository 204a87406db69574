// SPDX-License-Identifier: Apache-2.0
// Tensor cores as the emulator has them: which value of a tile lies where in a fragment (PTX ISA),
// integer products against a plain sum, float products against the published rule restated in
// integers, and matrices as they are loaded.
#include "kernels/cuda/emulator/mma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "base/half.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/emulator/machine.h"

namespace shoal::kernels::cuda {
namespace {

using emulator::Machine;
using emulator::MmaRule;

constexpr int kRows = 16, kColumns = 8;

// Of a row-major matrix [.., columns].
template <class T>
T& at(std::vector<T>& matrix, int columns, int row, int column) {
  return matrix[static_cast<std::size_t>(row * columns + column)];
}

// One warp multiplies a tile. PTX ISA: a value's place in its tile, by lane and number in the lane.
struct TileS8 {
  std::vector<std::int8_t> a, b;  // [16, 32], [32, 8]
  std::vector<std::int32_t> d;    // [16, 8]
};
void multiply_s8(TileS8& tile) {
  const int group = lane() / 4, in_group = lane() % 4;
  std::uint32_t a[4] = {}, b[2] = {};
  for (int i = 0; i < 16; ++i) {
    const int row = i < 4 || (i >= 8 && i < 12) ? group : group + 8;
    const int column = in_group * 4 + (i & 3) + (i >= 8 ? 16 : 0);
    a[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(at(tile.a, 32, row, column))} << i % 4 * 8;
  }
  for (int i = 0; i < 8; ++i) {
    const int row = in_group * 4 + (i & 3) + (i >= 4 ? 16 : 0);
    b[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(at(tile.b, 8, row, group))} << i % 4 * 8;
  }
  std::int32_t d[4];
  const auto place = [&](int i) -> std::int32_t& {
    return at(tile.d, kColumns, i < 2 ? group : group + 8, in_group * 2 + (i & 1));
  };
  for (int i = 0; i < 4; ++i) d[i] = place(i);
  mma_s8(d, a, b);
  for (int i = 0; i < 4; ++i) place(i) = d[i];
}

struct Tile16 {
  std::vector<std::uint16_t> a, b;  // [16, 16], [16, 8]; bf16 or f16
  std::vector<float> d;             // [16, 8]
};
template <bool kF16>
void multiply_16(Tile16& tile) {
  const int group = lane() / 4, in_group = lane() % 4;
  std::uint32_t a[4] = {}, b[2] = {};
  for (int i = 0; i < 8; ++i) {
    const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
    const int column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
    a[i / 2] |= std::uint32_t{at(tile.a, 16, row, column)} << i % 2 * 16;
  }
  for (int i = 0; i < 4; ++i) {
    const int row = in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
    b[i / 2] |= std::uint32_t{at(tile.b, 8, row, group)} << i % 2 * 16;
  }
  float d[4];
  const auto place = [&](int i) -> float& {
    return at(tile.d, kColumns, i < 2 ? group : group + 8, in_group * 2 + (i & 1));
  };
  for (int i = 0; i < 4; ++i) d[i] = place(i);
  if constexpr (kF16) {
    mma_f16(d, a, b);
  } else {
    mma_bf16(d, a, b);
  }
  for (int i = 0; i < 4; ++i) place(i) = d[i];
}

class MmaS8 : public testing::Test {
 protected:
  void check(const TileS8& tile) {
    TileS8 got = tile;
    machine_.run({1, 1, 1}, 32, 0, [&] { multiply_s8(got); });
    TileS8 plain = tile;
    for (int row = 0; row < kRows; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        std::int64_t sum = at(plain.d, kColumns, row, column);
        for (int k = 0; k < 32; ++k) {
          sum += std::int64_t{at(plain.a, 32, row, k)} * at(plain.b, kColumns, k, column);
        }
        at(plain.d, kColumns, row, column) =
            static_cast<std::int32_t>(static_cast<std::uint64_t>(sum));
      }
    }
    ASSERT_EQ(got.d, plain.d);
  }

  static TileS8 filled(int a, int b, std::int32_t d) {
    return {std::vector<std::int8_t>(16 * 32, static_cast<std::int8_t>(a)),
            std::vector<std::int8_t>(32 * 8, static_cast<std::int8_t>(b)),
            std::vector<std::int32_t>(16 * 8, d)};
  }

  Machine machine_{{.seed = 5}};
};

TEST_F(MmaS8, MultipliesRandomTiles) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    TileS8 tile = filled(0, 0, 0);
    for (std::int8_t& v : tile.a) v = static_cast<std::int8_t>(random());
    for (std::int8_t& v : tile.b) v = static_cast<std::int8_t>(random());
    for (std::int32_t& v : tile.d) v = static_cast<std::int32_t>(random());
    check(tile);
  }
}

TEST_F(MmaS8, MultipliesExtremeTiles) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  for (const int a : {-128, 127, 0}) {
    for (const int b : {-128, 127, -1}) {
      for (const std::int32_t d : {0, kMost, -kMost - 1}) check(filled(a, b, d));
    }
  }
}

// One value of each, everywhere: no two places are confused.
TEST_F(MmaS8, EachValueHasItsPlace) {
  for (int k = 0; k < 32; ++k) {
    TileS8 tile = filled(0, 0, 0);
    for (int row = 0; row < kRows; ++row) {
      at(tile.a, 32, row, k) = static_cast<std::int8_t>(row + 1);
    }
    for (int column = 0; column < kColumns; ++column) {
      at(tile.b, kColumns, k, column) = static_cast<std::int8_t>(10 * column + 1);
    }
    check(tile);
  }
}

// ---- floats

std::uint16_t bf16_of(float v) { return static_cast<std::uint16_t>(base::bits_of(v) >> 16); }
float f32_of(std::uint16_t bf16) { return base::float_of(std::uint32_t{bf16} << 16); }

// The rule once more, of numbers as integers of the unit 2^-kUnit, which all of a test are.
constexpr int kUnit = 60;
using Fixed = __int128;

Fixed fixed(double v) {
  int exponent = 0;
  const auto significand = static_cast<std::int64_t>(std::ldexp(std::frexp(v, &exponent), 53));
  const int shift = exponent - 53 + kUnit;
  return shift >= 0 ? Fixed{significand} << shift : Fixed{significand} / (Fixed{1} << -shift);
}

// Of a number as the rule counts it: the product's significand may be below 4. `least`: of its
// type's normal numbers.
int exponent_of(float v, int least) { return v == 0.0f ? -126 : std::max(std::ilogb(v), least); }

// Cut toward zero to a multiple of 2^exponent.
Fixed cut(Fixed v, int exponent) {
  if (exponent <= -kUnit) return v;
  const Fixed step = Fixed{1} << (exponent + kUnit);
  return v / step * step;
}

float fused(const float* a, const float* b, int count, float c, int fraction_bits, int least) {
  int largest = exponent_of(c, -126);
  for (int k = 0; k < count; ++k) {
    largest = std::max(largest, exponent_of(a[k], least) + exponent_of(b[k], least));
  }
  Fixed sum = cut(fixed(c), largest - fraction_bits);
  for (int k = 0; k < count; ++k) {
    sum += cut(fixed(double{a[k]} * double{b[k]}), largest - fraction_bits);
  }
  // The places of an f32: the first that leaves less than 2^24.
  int unit = -kUnit;
  while (sum / (Fixed{1} << (unit + kUnit)) >= (Fixed{1} << 24) ||
         sum / (Fixed{1} << (unit + kUnit)) <= -(Fixed{1} << 24)) {
    ++unit;
  }
  const auto kept = static_cast<std::int64_t>(sum / (Fixed{1} << (unit + kUnit)));
  return static_cast<float>(std::ldexp(static_cast<double>(kept), unit));
}

float by_rule(MmaRule rule, const float* a, const float* b, float c, int least) {
  switch (rule) {
    case MmaRule::kAmpere:
      return fused(a + 8, b + 8, 8, fused(a, b, 8, c, 24, least), 24, least);
    case MmaRule::kHopper:
      return fused(a, b, 16, c, 25, least);
    case MmaRule::kOrdered:
      break;
  }
  for (int k = 0; k < 16; ++k) c = std::fma(a[k], b[k], c);
  return c;
}

class RandomTiles {
 public:
  // Exponents over so many binades about 1; a tenth of the values are zero.
  float next(int binades) {
    if (random_() % 10 == 0) return 0.0f;
    const int exponent = static_cast<int>(random_() % static_cast<unsigned>(binades)) - binades / 2;
    const float size =
        std::ldexp(1.0f + static_cast<float>(random_() % (1u << 23)) * 0x1p-23f, exponent);
    return random_() % 2 == 0 ? size : -size;
  }
  // round: to the operands' type.
  template <class Round>
  Tile16 tile(int binades, const Round& round) {
    Tile16 made;
    for (int i = 0; i < 16 * 16; ++i) made.a.push_back(round(next(binades)));
    for (int i = 0; i < 16 * 8; ++i) made.b.push_back(round(next(binades)));
    for (int i = 0; i < 16 * 8; ++i) made.d.push_back(next(binades));
    return made;
  }

 private:
  std::mt19937 random_{2};
};

class MmaFloats : public testing::TestWithParam<MmaRule> {
 protected:
#if defined(SHOAL_SANITIZED)
  static constexpr int kTiles = 100;
#else
  static constexpr int kTiles = 2'100;
#endif

  // Tiles of these numbers of binades, by turns. `least`: the least exponent of a normal number.
  template <bool kF16, class Round, class Widen>
  void check(const std::vector<int>& binades, int least, const Round& round, const Widen& widen) {
    Machine machine({.seed = 5, .mma_rule = GetParam()});
    RandomTiles random;
    for (int i = 0; i < kTiles; ++i) {
      const Tile16 tile = random.tile(binades[static_cast<std::size_t>(i) % binades.size()], round);
      Tile16 got = tile, from = tile;
      machine.run({1, 1, 1}, 32, 0, [&] { multiply_16<kF16>(got); });
      for (int row = 0; row < kRows; ++row) {
        for (int column = 0; column < kColumns; ++column) {
          float a[16], b[16];
          for (int k = 0; k < 16; ++k) {
            a[k] = widen(at(from.a, 16, row, k));
            b[k] = widen(at(from.b, kColumns, k, column));
          }
          const float right = by_rule(GetParam(), a, b, at(from.d, kColumns, row, column), least);
          ASSERT_EQ(base::bits_of(at(got.d, kColumns, row, column)), base::bits_of(right))
              << "tile " << i << ", row " << row << ", column " << column;
        }
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Rules, MmaFloats,
                         testing::Values(MmaRule::kOrdered, MmaRule::kAmpere, MmaRule::kHopper));

TEST_P(MmaFloats, OfBf16AreRoundedByTheirRule) { check<false>({1, 6, 40}, -126, bf16_of, f32_of); }
// The widest has subnormal ones.
TEST_P(MmaFloats, OfF16AreRoundedByTheirRule) {
  check<true>({1, 6, 30}, -14, base::to_f16, base::from_f16);
}

// What is 1 in all of one element's places, and zero elsewhere.
struct Element {
  float a[16] = {}, b[16] = {};
  float c = 0.0f;
  float by(MmaRule rule) const {
    std::uint16_t left[16], right[16];
    for (int k = 0; k < 16; ++k) {
      left[k] = bf16_of(a[k]);
      right[k] = bf16_of(b[k]);
    }
    return emulator::multiply_bf16(rule, left, right, c);
  }
};

TEST(MmaBf16Rules, DifferWhereTheyShould) {
  // 2^-25 is lost beside 1 with 24 bits of fraction, and beside the sum of the other half.
  Element small{{1.0f, 0x1p-25f, 0x1p-25f}, {1.0f, 1.0f, 1.0f}};
  EXPECT_EQ(small.by(MmaRule::kAmpere), 1.0f);
  EXPECT_EQ(small.by(MmaRule::kHopper), 1.0f) << "2^-24 is cut from an f32";
  // What is kept beyond an f32 counts while it is summed: 2^-24 + 2^-24 are one last place.
  Element pair{{1.0f, 0x1p-24f, 0x1p-24f}, {1.0f, 1.0f, 1.0f}};
  EXPECT_EQ(pair.by(MmaRule::kAmpere), 1.0f + 0x1p-23f);
  EXPECT_EQ(pair.by(MmaRule::kHopper), 1.0f + 0x1p-23f);
  EXPECT_EQ(pair.by(MmaRule::kOrdered), 1.0f);
  // Four of 2^-25: 9.0 keeps them.
  Element four{{1.0f, 0x1p-25f, 0x1p-25f, 0x1p-25f, 0x1p-25f}, {1.0f, 1.0f, 1.0f, 1.0f, 1.0f}};
  EXPECT_EQ(four.by(MmaRule::kAmpere), 1.0f);
  EXPECT_EQ(four.by(MmaRule::kHopper), 1.0f + 0x1p-23f);
  // Large ones that cancel: 8.0 has lost the small one before, if it comes in the first half.
  Element cancel{{0x1p30f, 1.0f}, {1.0f, 1.0f}};
  cancel.a[8] = -0x1p30f;
  cancel.b[8] = 1.0f;
  EXPECT_EQ(cancel.by(MmaRule::kAmpere), 0.0f);
  EXPECT_EQ(cancel.by(MmaRule::kHopper), 0.0f);
  std::swap(cancel.a[1], cancel.a[9]);
  std::swap(cancel.b[1], cancel.b[9]);
  EXPECT_EQ(cancel.by(MmaRule::kAmpere), 0.0f);
  EXPECT_EQ(cancel.by(MmaRule::kOrdered), 1.0f);
}

// Infinities and NaN of f16, its largest numbers, and its least.
TEST(MmaF16Rules, AtTheEndsOfTheRange) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const MmaRule rule : {MmaRule::kAmpere, MmaRule::kHopper}) {
    const auto product = [rule](std::uint16_t a, std::uint16_t b, float c) {
      const std::uint16_t left[16] = {a}, right[16] = {b};
      return emulator::multiply_f16(rule, left, right, c);
    };
    EXPECT_EQ(product(0x7bff, 0x7bff, 0.0f), 65504.0f * 65504.0f);
    EXPECT_EQ(product(0x0001, 0x8001, 0.0f), -0x1p-48f);
    EXPECT_EQ(product(0x0000, 0x7bff, 0x1p-100f), 0x1p-100f);
    EXPECT_EQ(product(0x7c00, 0xc000, 1.0f), -infinity);
    EXPECT_TRUE(std::isnan(product(0x7c00, 0x0000, 1.0f)));
    EXPECT_TRUE(std::isnan(product(0x7e00, 0x3c00, 1.0f)));
  }
}

TEST(MmaBf16Rules, CutTowardZero) {
  for (const MmaRule rule : {MmaRule::kAmpere, MmaRule::kHopper}) {
    EXPECT_EQ((Element{{0x1p-24f}, {1.0f}, 1.0f}.by(rule)), 1.0f);
    EXPECT_EQ((Element{{0x1.8p-24f}, {1.0f}, 1.0f}.by(rule)), 1.0f);
    EXPECT_EQ((Element{{-0x1.8p-24f}, {1.0f}, -1.0f}.by(rule)), -1.0f);
    EXPECT_EQ((Element{{0x1.8p-24f}, {1.0f}, 1.0f}.by(MmaRule::kOrdered)), 1.0f + 0x1p-23f);
  }
}

TEST(MmaBf16Rules, AtTheEndsOfTheRange) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const MmaRule rule : {MmaRule::kAmpere, MmaRule::kHopper}) {
    const auto bits = [rule](const Element& e) { return base::bits_of(e.by(rule)); };
    // Subnormals are numbers.
    EXPECT_EQ((Element{{0x1p-100f}, {0x1p-40f}}.by(rule)), 0x1p-140f);
    EXPECT_EQ((Element{{0x1p-130f}, {1.0f}}.by(rule)), 0x1p-130f);
    EXPECT_EQ((Element{{}, {}, 0x1p-149f}.by(rule)), 0x1p-149f);
    // A sum of nothing is +0, whatever the signs were; so is what is cut to nothing.
    EXPECT_EQ(bits({{-0.0f}, {1.0f}, -0.0f}), 0u);
    EXPECT_EQ(bits({{-0x1p-100f}, {0x1p-60f}}), 0u);
    // A zero times a large number lifts what all are aligned to: 2^-100 is lost.
    EXPECT_EQ((Element{{0.0f}, {0x1p127f}, 0x1p-100f}.by(rule)), 0.0f);
    // Too large.
    EXPECT_EQ((Element{{0x1p100f}, {0x1p100f}}.by(rule)), infinity);
    EXPECT_EQ((Element{{-0x1p100f}, {0x1p100f}}.by(rule)), -infinity);
    // Infinities and NaN, in either half and in the accumulator.
    for (const int k : {0, 15}) {
      Element e{{}, {}, 1.0f};
      e.a[k] = infinity;
      e.b[k] = -2.0f;
      EXPECT_EQ(e.by(rule), -infinity);
      e.b[k] = 0.0f;
      EXPECT_EQ(bits(e), 0x7fffffffu);
      e.a[k] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_EQ(bits(e), 0x7fffffffu);
      e.a[k] = -infinity;
      e.b[k] = 1.0f;
      e.c = infinity;
      EXPECT_EQ(bits(e), 0x7fffffffu);
    }
    EXPECT_EQ((Element{{1.0f}, {1.0f}, infinity}.by(rule)), infinity);
  }
}

// ---- ldmatrix

TEST(LoadMatrices, GivesEachLaneItsValues) {
  // Value = 256 matrix + 16 row + column, rows in an order of their own.
  alignas(16) std::uint16_t rows[32][8];
  const auto place = [](int matrix, int row) { return (matrix * 8 + row) * 5 % 32; };
  for (int matrix = 0; matrix < 4; ++matrix) {
    for (int row = 0; row < 8; ++row) {
      for (int column = 0; column < 8; ++column) {
        rows[place(matrix, row)][column] =
            static_cast<std::uint16_t>(256 * matrix + 16 * row + column);
      }
    }
  }
  for (const bool transposed : {false, true}) {
    std::vector<std::uint32_t> got(32 * 4);
    Machine machine({});
    machine.run({1, 1, 1}, 32, 0, [&] {
      std::uint32_t r[4];
      const void* const row = rows[place(lane() / 8, lane() % 8)];
      if (transposed) {
        load_matrices_transposed(r, row);
      } else {
        load_matrices(r, row);
      }
      for (int i = 0; i < 4; ++i) got[static_cast<std::size_t>(lane() * 4 + i)] = r[i];
    });
    for (int i = 0; i < 32 * 4; ++i) {
      const int lane = i / 4, matrix = i % 4, one = lane / 4, other = lane % 4 * 2;
      const int step = transposed ? 16 : 1;
      const int first = 256 * matrix + (transposed ? 16 * other + one : 16 * one + other);
      EXPECT_EQ(got[static_cast<std::size_t>(i)],
                static_cast<std::uint32_t>(first | (first + step) << 16));
    }
  }
}

}  // namespace
}  // namespace shoal::kernels::cuda
