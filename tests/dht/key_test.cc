// SPDX-License-Identifier: Apache-2.0
#include "dht/key.h"

#include <gtest/gtest.h>

#include <set>

#include "identity/random.h"

namespace shoal::dht {
namespace {

Key random_key(identity::Random& random) { return Key{random.bytes<32>()}; }

TEST(KeyTest, DistanceIsAMetricAndCloserIsItsOrder) {
  identity::Random random(1);
  for (int i = 0; i < 200; ++i) {
    const Key a = random_key(random), b = random_key(random), c = random_key(random);
    EXPECT_EQ(distance(a, a), Key{});
    EXPECT_EQ(distance(a, b), distance(b, a));
    EXPECT_EQ(distance(distance(a, b), distance(b, c)), distance(a, c));
    EXPECT_EQ(closer(a, b, c), distance(a, b) < distance(a, c));
    EXPECT_FALSE(closer(a, b, b));
  }
}

TEST(KeyTest, CommonPrefixCountsLeadingEqualBits) {
  const Key zero{};
  EXPECT_EQ(common_prefix(zero, zero), 256);
  for (int bit = 0; bit < 256; ++bit) {
    Key other{};
    other.bytes[static_cast<std::size_t>(bit) / 8] = static_cast<std::uint8_t>(0x80 >> bit % 8);
    EXPECT_EQ(common_prefix(zero, other), bit);
    EXPECT_EQ(common_prefix(other, zero), bit);
  }
}

TEST(KeyTest, EverySwarmModelAndBlockHasItsOwnKey) {
  std::set<Key> keys;
  std::size_t made = 0;
  for (std::uint8_t swarm_byte : {0, 1}) {
    identity::SwarmId swarm{};
    swarm.bytes[31] = swarm_byte;
    keys.insert(models_key(swarm)), ++made;
    for (std::uint8_t model_byte : {0, 1}) {
      proto::Digest model{};
      model.bytes[0] = model_byte;
      keys.insert(model_key(swarm, model)), ++made;
      for (proto::BlockIndex block : {0u, 1u, 255u, 256u, 65536u})
        keys.insert(block_key(swarm, model, block)), ++made;
    }
  }
  EXPECT_EQ(keys.size(), made);
}

// The derivation is part of the protocol: these values may never change under version 1.
TEST(KeyTest, DerivationIsFixed) {
  const identity::SwarmId swarm{};
  const proto::Digest model{};
  EXPECT_EQ(proto::to_string(models_key(swarm)),
            "49d09d6d92b557edb95cf59d2d502cfa8452f048ca07f54ac02ffb720b8a4871");
  EXPECT_EQ(proto::to_string(model_key(swarm, model)),
            "eddd059e5fd7c0117028678df751b25b68aafd7f907bfca0237e4355dca37306");
  EXPECT_EQ(proto::to_string(block_key(swarm, model, 258)),
            "3ace10d6ab12190f38144a5c543f89028349077af02facf3a4ddc4ccf9b25c1e");
}

}  // namespace
}  // namespace shoal::dht
