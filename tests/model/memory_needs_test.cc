// SPDX-License-Identifier: Apache-2.0
// What a block takes of memory, by hand.
#include "model/memory_needs.h"

#include <gtest/gtest.h>

#include <string>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"

namespace shoal::model {
namespace {

const std::string kFixtures = SHOAL_SOURCE_DIR "/tests/fixtures/models/";

MemoryNeeds needs_of(const std::string& directory, std::int64_t rows) {
  return memory_needs(load_config(directory).value(), Checkpoint::open(directory).value(), rows);
}

TEST(MemoryNeeds, OfTheBundledModel) {
  const MemoryNeeds needs = needs_of(SHOAL_SOURCE_DIR "/models/demo", 320);
  EXPECT_EQ(needs.block_weight_bytes, 2u * 737'792u);         // bf16: models/demo/README.md
  EXPECT_EQ(needs.block_position_kv_bytes, 2u * 4 * 32 * 4);  // 4 key heads of 32, in f32
  EXPECT_EQ(needs.workspace_bytes, 320u * 4 * (4 * 256 + 704 + (8 + 2 * 4) * 32 + 1));
}

TEST(MemoryNeeds, KeysAndValuesAreCountedAsTheyAreKept) {
  const ModelConfig config = load_config(SHOAL_SOURCE_DIR "/models/demo").value();
  const Checkpoint checkpoint = Checkpoint::open(SHOAL_SOURCE_DIR "/models/demo").value();
  for (const kernels::KvDType dtype : kernels::kKvDTypes) {
    const std::uint64_t bytes = memory_needs(config, checkpoint, 1, dtype).block_position_kv_bytes;
    const std::uint64_t by_hand = dtype == kernels::KvDType::kF32  ? 32 * 4
                                  : dtype == kernels::KvDType::kI8 ? 32 + 4
                                                                   : 32 * 2;
    EXPECT_EQ(bytes, 2 * 4 * by_hand) << kernels::kv_dtype_name(dtype);
    // And what the pool takes for a page of so many positions.
    const KvShape shape{1, 4, 32, dtype};
    EXPECT_EQ(shape.page_bytes(), bytes * static_cast<std::uint64_t>(kPagePositions));
  }
}

TEST(MemoryNeeds, CountWeightsAsTheyAreStored) {
  // Of 32 wide, 48 between, 4 heads of 8, all with keys of their own, in f32.
  EXPECT_EQ(needs_of(kFixtures + "llama_mha", 1).block_weight_bytes,
            4u * (2 * 32 + 4 * 32 * 32 + 3 * 32 * 48));
  // And 4 heads of 16 with 2 of keys, f16, a bias everywhere.
  EXPECT_EQ(
      needs_of(kFixtures + "llama_bias", 1).block_weight_bytes,
      2u * (2 * 32 + 2 * 64 * 32 + 2 * 32 * 32 + 3 * 32 * 48 + 64 + 2 * 32 + 32 + 2 * 48 + 32));
}

TEST(MemoryNeeds, PortableWeightsAreCountedAsTheyArePacked) {
  const auto needs = [](WeightChoice weights) {
    return memory_needs(load_config(kFixtures + "llama_mha").value(),
                        Checkpoint::open(kFixtures + "llama_mha").value(), 1,
                        kernels::KvDType::kF32, weights)
        .block_weight_bytes;
  };
  // Of 32 inputs: 34, 20 and 18 bytes an output; of 48 inputs two groups. Norms stay f32.
  const std::uint64_t groups = 4 * 32 + 2 * 48 + 2 * 32;
  EXPECT_EQ(needs(WeightChoice::kQ8), 34 * groups + 4u * 2 * 32);
  EXPECT_EQ(needs(WeightChoice::kQ4), 20 * groups + 4u * 2 * 32);
  EXPECT_EQ(needs(WeightChoice::kQ4S), 18 * groups + 4u * 2 * 32);
}

// In whole tiles of 16 outputs and runs of 64 inputs.
TEST(MemoryNeeds, WeightsForFloatTensorCoresAreCountedAsTheyArePacked) {
  const ModelConfig config = load_config(kFixtures + "llama_mha").value();
  const Checkpoint checkpoint = Checkpoint::open(kFixtures + "llama_mha").value();
  const MemoryNeeds needs =
      memory_needs(config, checkpoint, 1, kernels::KvDType::kF32, WeightChoice::kMma);
  EXPECT_EQ(needs.block_weight_bytes,
            2u * 64 * (4 * 32 + 2 * 48 + 32) + 4u * 2 * 32);  // 48 inputs are one run too
  EXPECT_TRUE(needs.packed);
  EXPECT_EQ(needs.workspace_bytes, memory_needs(config, checkpoint, 1).workspace_bytes);
}

// Inputs become bytes, with a scale and a sum for each group: at most 32 MiB at once.
TEST(MemoryNeeds, QuantizedActivationsAreCounted) {
  const ModelConfig config = load_config(SHOAL_SOURCE_DIR "/models/demo").value();
  const Checkpoint checkpoint = Checkpoint::open(SHOAL_SOURCE_DIR "/models/demo").value();
  const auto more = [&](std::int64_t rows) {
    return memory_needs(config, checkpoint, rows, kernels::KvDType::kF32, WeightChoice::kQ4)
               .workspace_bytes -
           memory_needs(config, checkpoint, rows).workspace_bytes;
  };
  // Of 704 inputs 22 groups of 40 bytes: 14 lines of 64, and one more, as their number is odd.
  EXPECT_EQ(more(320), 320u * 15 * 64);
  EXPECT_EQ(more(100'000), 32u << 20);
}

// A folder may hold a part of the model.
TEST(MemoryNeeds, WhatIsNotThereCountsAsIfItWereStoredAsTheRest) {
  ModelConfig config = load_config(kFixtures + "llama_bias").value();
  const Checkpoint checkpoint = Checkpoint::open(kFixtures + "llama_bias").value();
  const MemoryNeeds whole = memory_needs(config, checkpoint, 1);
  ASSERT_EQ(config.kinds.size(), 1u);
  ASSERT_EQ(stored_type(config, checkpoint), "f16");
  config.block_count += 1;  // its last block stands nowhere
  config.block_kinds.push_back(0);
  EXPECT_EQ(stored_type(config, checkpoint), "f16");
  EXPECT_EQ(memory_needs(config, checkpoint, 1).block_weight_bytes, whole.block_weight_bytes);
  config.kinds.push_back(config.kinds.front());
  config.block_kinds.back() = 1;
  config.kinds.back().weights.push_back(
      {BlockWeight::kQueryNorm, "self_attn.q_norm", 0, 16, false});
  EXPECT_EQ(memory_needs(config, checkpoint, 1).block_weight_bytes,
            whole.block_weight_bytes + 2 * 16);
}

TEST(MemoryNeeds, TheStoredTypeIsThatOfTheMatrices) {
  const auto type_of = [](const std::string& directory) {
    return stored_type(load_config(directory).value(), Checkpoint::open(directory).value());
  };
  EXPECT_EQ(type_of(kFixtures + "llama_mha"), "f32");
  EXPECT_EQ(type_of(kFixtures + "llama_bias"), "f16");
  EXPECT_EQ(type_of(SHOAL_SOURCE_DIR "/models/demo"), "bf16");
}

}  // namespace
}  // namespace shoal::model
