// SPDX-License-Identifier: Apache-2.0
#include "identity/random.h"

#include <gtest/gtest.h>

#include "proto/types.h"

namespace shoal::identity {
namespace {

TEST(RandomTest, IsTheChaCha20KeyStreamOfItsSeed) {
  Random random(Random::Seed{});
  // RFC 8439 A.1, test vector 1: the key stream of the zero key and nonce.
  EXPECT_EQ(proto::hex(random.bytes<16>()), "76b8e0ada0f13d90405d6ae55386bd28");
}

TEST(RandomTest, SameSeedSameValuesInAnyPieces) {
  Random a(7), b(7), c(8);
  const auto whole = a.bytes<2000>();
  std::array<std::uint8_t, 2000> pieces;
  for (std::size_t at = 0, n = 1; at < pieces.size(); at += n, n = n % 97 + 1) {
    n = std::min(n, pieces.size() - at);
    b.fill(std::span(pieces).subspan(at, n));
  }
  EXPECT_EQ(whole, pieces);
  EXPECT_NE(c.bytes<2000>(), whole);
  EXPECT_NE(Random::from_system().bytes<32>(), Random::from_system().bytes<32>());
}

TEST(RandomTest, BelowIsUniformAndWithinItsBound) {
  Random random(3);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts.at(random.below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);  // 5 sigma
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_EQ(random.below(0), 0u);
  for (int i = 0; i < 1000; ++i) {
    const double unit = random.unit();
    EXPECT_TRUE(unit >= 0 && unit < 1);
  }
}

}  // namespace
}  // namespace shoal::identity
