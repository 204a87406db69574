// SPDX-License-Identifier: Apache-2.0
// Half floats by the definition of their formats; rows of any length and address as single values.
#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/finite.h"
#include "base/function_ref.h"

namespace shoal::base {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Half, EveryValueComesBackFromItsWideForm) {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const bool nan_bf16 = (i & 0x7fffu) > 0x7f80u, nan_f16 = (i & 0x7fffu) > 0x7c00u;
    // A NaN becomes quiet, and keeps its sign and the rest of its bits.
    ASSERT_EQ(to_bf16(from_bf16(bits)), nan_bf16 ? (i | 0x40u) : i);
    ASSERT_EQ(to_f16(from_f16(bits)), nan_f16 ? (i | 0x200u) : i);
    ASSERT_EQ(std::isnan(from_f16(bits)), nan_f16) << i;
  }
}

TEST(Half, RoundsToNearestEvenAndOverflowsToInfinity) {
  EXPECT_EQ(to_bf16(1.00390625f), 0x3f80);  // ties
  EXPECT_EQ(to_bf16(1.01171875f), 0x3f82);
  EXPECT_EQ(to_bf16(3.4e38f), 0x7f80);
  EXPECT_EQ(to_f16(1.00048828125f), 0x3c00);
  EXPECT_EQ(to_f16(1.00146484375f), 0x3c02);
  EXPECT_EQ(to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(to_f16(2.9802322e-8f), 0x0000);  // half of the smallest: a tie
  EXPECT_EQ(to_f16(2.9802326e-8f), 0x0001);
  for (const float nan : {NAN, -NAN, float_of(0x7f800001u), float_of(0xff800001u)}) {
    EXPECT_TRUE(std::isnan(from_bf16(to_bf16(nan))));
    EXPECT_TRUE(std::isnan(from_f16(to_f16(nan))));
  }
}

TEST(Half, RowsOfAnyLengthAndAddressAreTheirValues) {
  std::vector<float> values;
  for (std::uint32_t i = 0; i < 300; ++i) values.push_back(float_of(i * 14316557u));
  values.insert(values.end(), {kInfinity, -kInfinity, NAN, 0.0f, -0.0f, 1e-42f, 65520.0f});
  for (std::size_t count = 0; count <= values.size(); count += 1 + count / 7) {
    const std::span<const float> from(values.data(), count);
    std::vector<char> bytes(2 * count + 3, 'x');
    std::vector<float> back(count);
    for (const bool bf16 : {true, false}) {
      const bool finite =
          bf16 ? encode_bf16(from, bytes.data() + 1) : encode_f16(from, bytes.data() + 1);
      const bool same =
          bf16 ? decode_bf16(bytes.data() + 1, back) : decode_f16(bytes.data() + 1, back);
      EXPECT_EQ(finite, same);
      EXPECT_EQ(finite, all_finite(back));
      EXPECT_EQ(bytes.front(), 'x');
      EXPECT_EQ(bytes[2 * count + 1], 'x');
      for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, bytes.data() + 1 + 2 * i, 2);
        ASSERT_EQ(bits, bf16 ? to_bf16(values[i]) : to_f16(values[i])) << i;
        ASSERT_EQ(bits_of(back[i]), bits_of(bf16 ? from_bf16(bits) : from_f16(bits))) << i;
      }
    }
  }
}

TEST(Finite, SeesOneValueAmongMany) {
  std::vector<float> values(1000, 3.4e38f);
  EXPECT_TRUE(all_finite(values));
  EXPECT_TRUE(all_finite({}));
  for (const float bad : {kInfinity, -kInfinity, NAN}) {
    EXPECT_FALSE(is_finite(bad));
    values[777] = bad;
    EXPECT_FALSE(all_finite(values));
    values[777] = 0;
  }
}

TEST(FunctionRef, CallsWhatItRefersTo) {
  int calls = 0;
  const auto add = [&calls](int more) { return calls += more; };
  const FunctionRef<int(int)> ref = add;
  EXPECT_EQ(ref(2), 2);
  EXPECT_EQ(FunctionRef<int(int)>(ref)(3), 5);
  EXPECT_EQ(calls, 5);
  static_assert(sizeof(ref) == 2 * sizeof(void*));
}

}  // namespace
}  // namespace shoal::base
