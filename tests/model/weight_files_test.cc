// SPDX-License-Identifier: Apache-2.0
// Folders that hold a part of a model: what is opened, what is missing, and what is said of it.
#include "model/weight_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "model/checkpoint.h"
#include "model/folder_manifest.h"
#include "model/wanted.h"
#include "tests/support/model_folder.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using tests::TempDir;

const std::string kDemo = SHOAL_SOURCE_DIR "/models/demo";  // 8 blocks, tied ends

std::string message(const absl::Status& status) { return std::string(status.message()); }

// Files under `directory` that this process has mapped.
int mapped(const std::string& directory) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(directory) != std::string::npos ? 1 : 0;
  }
  return count;
}

class Parts : public testing::Test {
 protected:
  Parts() { names_ = tests::split_model(kDemo, whole_, 3); }  // ends, 0:3, 3:6, 6:8
  // A folder with the shards of these numbers.
  std::string with(const std::vector<int>& numbers) {
    const std::string folder = folder_.file("parts" + std::to_string(++made_));
    std::vector<std::string> shards;
    for (const int number : numbers) shards.push_back(names_[static_cast<std::size_t>(number)]);
    tests::take_parts(whole_, folder, shards);
    return folder;
  }
  WeightFiles files_of(const std::string& folder) {
    absl::StatusOr<WeightFiles> files = read_weight_files(folder);
    EXPECT_TRUE(files.ok()) << files.status();
    return *std::move(files);
  }

  const TempDir folder_;
  const std::string whole_ = folder_.file("whole");
  std::vector<std::string> names_;
  const ModelConfig config_ = load_config(kDemo).value();
  int made_ = 0;
};

TEST_F(Parts, SayWhichBlocksTheyHold) {
  EXPECT_THAT(held_blocks(config_, files_of(whole_)), ElementsAre(BlockRun(0, 8)));
  EXPECT_THAT(held_blocks(config_, files_of(kDemo)), ElementsAre(BlockRun(0, 8)));
  EXPECT_THAT(held_blocks(config_, files_of(with({1, 3}))),
              ElementsAre(BlockRun(0, 3), BlockRun(6, 8)));
  EXPECT_THAT(held_blocks(config_, files_of(with({1, 2}))), ElementsAre(BlockRun(0, 6)));
  EXPECT_THAT(held_blocks(config_, files_of(with({0}))), IsEmpty());
  EXPECT_THAT(held_blocks(config_, files_of(with({}))), IsEmpty());
  const WeightFiles files = files_of(with({1, 3}));
  EXPECT_FALSE(files.is_whole());
  EXPECT_EQ(files.missing(), names_[0] + " and " + names_[2]);
  EXPECT_TRUE(files_of(whole_).is_whole());
}

TEST_F(Parts, OnlyTheFilesOfWantedTensorsAreOpened) {
  const WeightFiles files = files_of(whole_);
  EXPECT_EQ(mapped(whole_), 0);  // headers were read, and let go
  {
    const Checkpoint ends = Checkpoint::open(files, wants_ends()).value();
    EXPECT_EQ(mapped(whole_), 1);
    EXPECT_TRUE(ends.contains("model.embed_tokens.weight"));
    EXPECT_FALSE(ends.contains("model.layers.0.input_layernorm.weight"));
    // What becomes of the other files is nobody's concern here.
    const std::string other = whole_ + "/" + names_[2];
    const std::string bytes = tests::read_file(other);
    std::filesystem::remove(other);
    EXPECT_THAT(ends.replaced(), IsEmpty());
    EXPECT_TRUE(ends.check_all().ok());
    tests::write_file(other, bytes);
  }
  const Checkpoint blocks = Checkpoint::open(files, wants_blocks(2, 4)).value();
  EXPECT_EQ(mapped(whole_), 2);
  EXPECT_TRUE(blocks.contains("model.layers.5.input_layernorm.weight"));  // beside one that is
  EXPECT_FALSE(blocks.contains("model.layers.7.input_layernorm.weight"));
  const Checkpoint none = Checkpoint::open(files, wants_blocks(8, 9)).value();
  EXPECT_EQ(mapped(whole_), 2);
}

TEST_F(Parts, WhatIsThereIsEnoughForWhoNeedsNoMore) {
  const std::string ends = with({0});
  EXPECT_TRUE(Checkpoint::open(files_of(ends), wants_ends()).ok());
  const std::string last = with({3});
  EXPECT_TRUE(Checkpoint::open(files_of(last), wants_blocks(6, 8)).ok());
  EXPECT_EQ(Checkpoint::open_held(files_of(last))->tensors().size(), 2u * 9);
}

TEST_F(Parts, AMissingFileThatIsNeededIsNamedWithItsTensors) {
  const std::string last = with({3});
  const std::string text = message(Checkpoint::open(files_of(last), wants_blocks(5, 8)).status());
  EXPECT_THAT(text, AllOf(HasSubstr(last + "/" + names_[2] + ": no such file"),
                          HasSubstr("index.json names it for model.layers.5."),
                          HasSubstr(" and 6 more"), HasSubstr("fetch it"), Not(HasSubstr("\n"))));
  EXPECT_THAT(message(Checkpoint::open(files_of(last), wants_ends()).status()),
              AllOf(HasSubstr(names_[0]), HasSubstr("model.embed_tokens.weight and "
                                                    "model.norm.weight, which are needed here")));
  EXPECT_THAT(message(Checkpoint::open(last).status()), HasSubstr(names_[0]));
}

TEST_F(Parts, ADamagedFileIsSaidEvenIfNobodyNeedsIt) {
  const std::string folder = with({0, 1});
  std::filesystem::remove(folder + "/" + names_[1]);
  tests::write_file(folder + "/" + names_[1], "<html>");
  EXPECT_THAT(message(read_weight_files(folder).status()),
              AllOf(HasSubstr(names_[1]), HasSubstr("web page")));
}

// The index only says where to look; the manifest knows.
TEST_F(Parts, TheManifestTellsWhatMissingFilesHold) {
  const auto manifest = folder_manifest(config_, files_of(whole_), {}).value().value().manifest;
  const std::string folder = with({1});
  tests::write_file(folder + "/model.safetensors.index.json",
                    R"({"weight_map": {"a": ")" + names_[1] + R"(", "b": ")" + names_[2] + "\"}}");
  WeightFiles files = files_of(folder);
  EXPECT_TRUE(Checkpoint::open(files, wants_blocks(3, 4)).ok());  // nobody says that it is missing
  learn(files, manifest);
  EXPECT_THAT(message(Checkpoint::open(files, wants_blocks(3, 4)).status()), HasSubstr(names_[2]));
}

}  // namespace
}  // namespace shoal::model
