// SPDX-License-Identifier: Apache-2.0
// A family is complete: it has a small model under tests/fixtures/models, named after its
// model_type, that loads, and whose tensors are those that the family's specs list, no more and no
// less, in their shapes. (Their mathematics: family_test.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/block_weights.h"
#include "model/checkpoint.h"
#include "model/families/family.h"
#include "model/tensor_list.h"

namespace shoal::model {
namespace {

namespace fs = std::filesystem;
using Shapes = std::map<std::string, std::vector<std::int64_t>>;

std::vector<std::string> fixture_folders() {
  std::vector<std::string> folders;
  for (const auto& entry : fs::directory_iterator(SHOAL_SOURCE_DIR "/tests/fixtures/models")) {
    folders.push_back(entry.path().string());
  }
  return folders;
}

Shapes listed(const ModelConfig& config) {
  Shapes shapes;
  const auto add = [&](const TensorSpec& tensor) {
    EXPECT_TRUE(shapes.emplace(tensor.name, tensor.shape).second) << tensor.name << " stands twice";
  };
  for (const TensorSpec& tensor : end_tensors(config)) {
    if (tensor.name != config.names.head || !config.tied_embeddings) add(tensor);
  }
  for (std::int64_t block = 0; block < config.block_count; ++block) {
    for (const TensorSpec& tensor : block_tensors(config, block)) add(tensor);
  }
  return shapes;
}

Shapes stored(const Checkpoint& checkpoint) {
  Shapes shapes;
  for (const auto& [name, info] : checkpoint.tensors()) shapes[name] = info.shape;
  return shapes;
}

TEST(FamilyList, EveryFamilyHasAModelOfItsName) {
  ASSERT_FALSE(families().empty());
  for (const Family* family : families()) {
    const std::string type(family->model_type);
    int found = 0;
    for (const std::string& folder : fixture_folders()) {
      const std::string name = fs::path(folder).filename();
      if (name != type && name.rfind(type + "_", 0) != 0) continue;
      ++found;
      const absl::StatusOr<ModelConfig> config = load_config(folder);
      ASSERT_TRUE(config.ok()) << config.status();
      EXPECT_EQ(config->architecture, family->architecture) << folder;
    }
    EXPECT_GT(found, 0) << "no tests/fixtures/models/" << type << "*";
  }
}

TEST(FamilyList, NoTwoFamiliesShareAName) {
  std::set<std::string_view> names;
  for (const Family* family : families()) {
    for (const std::string_view name : {family->architecture, family->model_type, family->base}) {
      EXPECT_TRUE(!name.empty() && names.insert(name).second) << name;
    }
  }
}

TEST(FamilyList, TheListedTensorsAreThoseOfTheModel) {
  std::set<std::string> architectures;
  for (const std::string& folder : fixture_folders()) {
    const absl::StatusOr<ModelConfig> config = load_config(folder);
    ASSERT_TRUE(config.ok()) << config.status();
    const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(folder);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_THAT(listed(*config), testing::ContainerEq(stored(*checkpoint))) << folder;
    architectures.insert(config->architecture);
  }
  EXPECT_EQ(architectures.size(), families().size()) << "a family has no model";
}

TEST(FamilyList, ABlockLoadsEveryTensorOfItsList) {
  for (const std::string& folder : fixture_folders()) {
    const ModelConfig config = load_config(folder).value();
    const Checkpoint checkpoint = Checkpoint::open(folder).value();
    for (std::int64_t block = 0; block < config.block_count; ++block) {
      const absl::StatusOr<BlockWeights> weights = BlockWeights::load(config, checkpoint, block);
      ASSERT_TRUE(weights.ok()) << weights.status();
      std::size_t bytes = 0;
      for (const TensorSpec& tensor : block_tensors(config, block)) {
        bytes += checkpoint.tensors().at(tensor.name).bytes;
      }
      EXPECT_EQ(weights->bytes(), bytes) << folder << ", block " << block;
    }
  }
}

TEST(FamilyList, BlocksOfOneKindShareIt) {
  const std::string fixtures = SHOAL_SOURCE_DIR "/tests/fixtures/models/";
  EXPECT_EQ(load_config(fixtures + "llama_mha")->kinds.size(), 1u);
  const ModelConfig config = load_config(fixtures + "qwen3_bias").value();
  EXPECT_EQ(config.kinds.size(), 2u);
  EXPECT_THAT(config.block_kinds, testing::ElementsAre(0, 1, 0));
  EXPECT_EQ(config.block(2).attention.window, 17);
  EXPECT_EQ(config.block(1).attention.window, 0);
}

}  // namespace
}  // namespace shoal::model
