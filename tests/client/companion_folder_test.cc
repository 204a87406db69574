// SPDX-License-Identifier: Apache-2.0
// Where small files lie, in every state of the cache.
#include "client/cli/companion_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>

#include "model/sha256.h"
#include "tests/support/temp_dir.h"

namespace shoal::client {
namespace {

namespace fs = std::filesystem;

class CompanionFolderTest : public testing::Test {
 protected:
  CompanionFolderTest() {
    ::setenv("XDG_CACHE_HOME", home_.file("cache").c_str(), 1);
    ::setenv("TMPDIR", home_.path().c_str(), 1);
    for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
             {"chat_templates/a.jinja", "a"}, {"config.json", "{}"}, {"tokenizer.json", "[]"}}) {
      files_.push_back({name, text.size(), proto::Digest{model::sha256(text).value()}});
      bytes_.push_back(text);
    }
  }
  ~CompanionFolderTest() override {
    ::unsetenv("XDG_CACHE_HOME");
    ::unsetenv("TMPDIR");
  }

  absl::StatusOr<std::unique_ptr<CompanionFolder>> open(const absl::Status& checked = {}) {
    return CompanionFolder::open(
        proto::Digest{{1}}, files_,
        [this](const proto::CompanionList&) -> absl::StatusOr<std::vector<std::string>> {
          ++fetched_;
          return bytes_;
        },
        [&](const std::string& folder) {
          EXPECT_EQ(tests::read_file(folder + "/config.json"), "{}");
          return checked;
        });
  }
  void expect_files(const std::string& folder) {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      EXPECT_EQ(tests::read_file(folder + "/" + files_[i].name), bytes_[i]);
    }
  }
  std::size_t entries(const std::string& folder) {
    std::error_code ignored;
    std::size_t count = 0;
    for (fs::directory_iterator at(folder, ignored), end; at != end; ++at) ++count;
    return count;
  }

  tests::TempDir home_;
  proto::CompanionList files_;
  std::vector<std::string> bytes_;
  int fetched_ = 0;
};

TEST_F(CompanionFolderTest, TheSecondStartFetchesNothing) {
  std::string path;
  {
    const auto first = open();
    ASSERT_TRUE(first.ok()) << first.status();
    EXPECT_FALSE((*first)->is_temporary());
    path = (*first)->path();
    expect_files(path);
  }
  const auto second = open();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ((*second)->path(), path);
  expect_files(path);
  EXPECT_EQ(fetched_, 1);
  EXPECT_EQ(entries(home_.file("cache/shoal/companions")), 1u);
}

TEST_F(CompanionFolderTest, WhatIsDamagedOrAddedThereIsMadeAnew) {
  const std::string path = (*open())->path();
  const std::vector<std::function<void()>> harms = {
      [&] { tests::write_file(path + "/config.json", "[]"); },
      [&] { fs::remove(path + "/tokenizer.json"); },
      // It would be taken for the model's.
      [&] { tests::write_file(path + "/chat_template.jinja", "x"); },
      [&] { tests::write_file(path + "/chat_templates/b.jinja", "x"); },
      [&] {
        fs::remove_all(path);
        tests::write_file(path, "a file");
      }};
  for (std::size_t i = 0; i < harms.size(); ++i) {
    harms[i]();
    const auto again = open();
    ASSERT_TRUE(again.ok()) << i << again.status();
    EXPECT_EQ((*again)->path(), path) << i;
    EXPECT_EQ(fetched_, static_cast<int>(i) + 2);
    expect_files(path);
    EXPECT_EQ(entries(path), 3u) << i;
  }
}

TEST_F(CompanionFolderTest, OtherFilesAndOtherModelsHaveTheirOwn) {
  const std::string path = (*open())->path();
  bytes_[0] = "b";
  files_[0].sha256 = proto::Digest{model::sha256("b").value()};
  EXPECT_NE((*open())->path(), path);
}

TEST_F(CompanionFolderTest, OnlySoManySetsAreKeptTheLastUsed) {
  const std::string path = (*open())->path(), cache = home_.file("cache/shoal/companions");
  const auto first = files_[0];
  for (int i = 0; i < 20; ++i) {
    files_[0] = first;
    bytes_[0] = "a";
    EXPECT_EQ((*open())->path(), path);
    bytes_[0] = std::string(1, static_cast<char>('b' + i));
    files_[0].sha256 = proto::Digest{model::sha256(bytes_[0]).value()};
    ASSERT_TRUE(open().ok());
  }
  EXPECT_EQ(fetched_, 21);
  EXPECT_EQ(entries(cache), 16u);
  EXPECT_TRUE(fs::exists(path));
  // Of a program that was killed; another may be at work this moment.
  for (const char* name : {"/.new-old", "/.new-young"}) fs::create_directories(cache + name);
  fs::last_write_time(cache + "/.new-old",
                      fs::file_time_type::clock::now() - std::chrono::hours(2));
  files_[0].name = "chat_templates/z.jinja";
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(fs::exists(cache + "/.new-old"));
  EXPECT_TRUE(fs::exists(cache + "/.new-young"));
}

TEST_F(CompanionFolderTest, WhatDoesNotPassTheCheckLeavesNothing) {
  EXPECT_TRUE(absl::IsDataLoss(open(absl::DataLossError("no")).status()));
  EXPECT_EQ(entries(home_.file("cache/shoal/companions")), 0u);
}

TEST_F(CompanionFolderTest, WithoutACacheItIsTemporaryAndPrivate) {
  tests::write_file(home_.file("not_a_folder"), "");
  ::setenv("XDG_CACHE_HOME", home_.file("not_a_folder").c_str(), 1);
  std::string path;
  {
    const auto folder = open();
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_TRUE((*folder)->is_temporary());
    path = (*folder)->path();
    EXPECT_EQ(fs::path(path).parent_path(), home_.path());
    expect_files(path);
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_FALSE(open(absl::DataLossError("no")).ok());
  EXPECT_EQ(entries(home_.path()), 1u);

  ::setenv("TMPDIR", home_.file("nowhere").c_str(), 1);
  const auto nowhere = open();
  EXPECT_TRUE(nowhere.ok() || nowhere.status().message().find("TMPDIR") != std::string::npos);
}

}  // namespace
}  // namespace shoal::client
