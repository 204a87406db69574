// SPDX-License-Identifier: Apache-2.0
// The hashes by which pages are known again: the same for the same tokens from the beginning on, in
// the same place of the same model, and for nothing else.
#include "client/ring/prefix_chain.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <numeric>
#include <set>

namespace shoal::client {
namespace {

constexpr std::size_t kHash = proto::PageHash::kSize;

proto::Numerics in(proto::WeightFormat weights) {
  return {proto::Compute::kI8, weights, proto::KvFormat::kF32};
}
std::vector<std::int32_t> counted(std::size_t count) {
  std::vector<std::int32_t> ids(count);
  std::iota(ids.begin(), ids.end(), 70'000);
  return ids;
}
std::string blake2b(std::string_view key, std::string_view text, std::size_t bytes) {
  std::string out(bytes, '\0');
  EXPECT_EQ(crypto_generichash(reinterpret_cast<unsigned char*>(out.data()), out.size(),
                               reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                               reinterpret_cast<const unsigned char*>(key.data()), key.size()),
            0);
  return out;
}

// As docs/protocol.md says it, by libsodium alone.
TEST(PrefixChain, IsWhatTheProtocolSays) {
  ASSERT_GE(sodium_init(), 0);
  const PrefixSalt salt = prefix_salt_named("friends");
  EXPECT_EQ(salt.to_bytes(), blake2b(std::string(32, '\0'), "shoal-prefix-name-1friends", 32));
  proto::Digest model;
  model.bytes.fill(9);
  const std::vector<proto::Numerics> before{in(proto::WeightFormat::kQ8),
                                            in(proto::WeightFormat::kQ4)};
  const PrefixSeed seed = prefix_seed(salt, model, {2, 258}, before);
  const std::string text = "shoal-prefix-seed-1" + std::string(32, '\x09') +
                           std::string("\2\0\0\0\2\1\0\0\2\4\1\2\5\1", 14);
  EXPECT_EQ(seed.to_bytes(), blake2b(salt.to_bytes(), text, 32));
  std::string page, expected;
  for (std::int32_t id = 70'000; id < 70'064; ++id) {
    for (int shift = 0; shift < 32; shift += 8) page.push_back(static_cast<char>(id >> shift));
    if (id % 32 != 70'031 % 32) continue;
    page = blake2b(seed.to_bytes(), page, kHash);
    expected += page;
  }
  EXPECT_EQ(page_hashes(seed, counted(95)), expected);
  const auto identity = identity::Identity::from_seed(std::array<std::uint8_t, 32>{1, 2, 3});
  EXPECT_EQ(prefix_salt_of(identity).to_bytes(),
            blake2b(std::string("\1\2\3") + std::string(29, '\0'), "shoal-prefix-salt-1", 32));
}

TEST(PrefixChain, EveryTokenChangesItsPageAndAllBehind) {
  const PrefixSeed seed = prefix_seed(prefix_salt_named("a"), {}, {0, 4}, {});
  const auto ids = counted(128);
  const std::string hashes = page_hashes(seed, ids);
  ASSERT_EQ(hashes.size(), 4 * kHash);
  EXPECT_EQ(page_hashes(seed, std::span(ids).first(127)), hashes.substr(0, 3 * kHash));
  EXPECT_EQ(page_hashes(seed, std::span(ids).first(31)), "");
  for (const std::size_t at : {0, 40, 127}) {
    auto other = ids;
    ++other[at];
    const std::string changed = page_hashes(seed, other);
    const std::size_t same = at / 32 * kHash;
    EXPECT_EQ(changed.substr(0, same), hashes.substr(0, same));
    for (std::size_t page = at / 32; page < 4; ++page) {
      EXPECT_NE(changed.substr(page * kHash, kHash), hashes.substr(page * kHash, kHash));
    }
  }
}

TEST(PrefixChain, EverythingThatKvDependsOnChangesTheSeed) {
  const auto q8 = in(proto::WeightFormat::kQ8), q4 = in(proto::WeightFormat::kQ4);
  const std::vector<proto::Numerics> before{q8, q8}, mixed{q8, q4}, longer{q8, q8, q8};
  auto f16 = before;
  f16[0].kv = proto::KvFormat::kF16;
  auto f32 = before;
  f32[0].compute = proto::Compute::kF32;
  proto::Digest other_model;
  other_model.bytes[31] = 1;
  const PrefixSalt salt = prefix_salt_named("a");
  const std::set<PrefixSeed> seeds{
      prefix_seed(salt, {}, {2, 4}, before),
      prefix_seed(salt, {}, {2, 4}, mixed),
      prefix_seed(salt, {}, {2, 4}, f16),
      prefix_seed(salt, {}, {2, 4}, f32),
      prefix_seed(salt, {}, {2, 5}, before),
      prefix_seed(salt, {}, {3, 5}, longer),
      prefix_seed(salt, other_model, {2, 4}, before),
      prefix_seed(prefix_salt_named("b"), {}, {2, 4}, before),
      prefix_seed(prefix_salt_of(identity::Identity::generate()), {}, {2, 4}, before),
      prefix_seed(prefix_salt_of(identity::Identity::generate()), {}, {2, 4}, before)};
  EXPECT_EQ(seeds.size(), 10u);
}

}  // namespace
}  // namespace shoal::client
