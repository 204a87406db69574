// SPDX-License-Identifier: Apache-2.0
// Where a folder's manifest comes from, when its files are read, and when what is kept no longer
// counts.
#include "model/folder_manifest.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "model/manifest_file.h"
#include "tests/support/model_folder.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tests::read_file;
using tests::TempDir;
using tests::write_file;

const std::string kDemo = SHOAL_SOURCE_DIR "/models/demo";

std::string message(const absl::Status& status) { return std::string(status.message()); }

// A model in four shards; how many bytes of it were hashed.
class FolderManifest : public testing::Test {
 protected:
  FolderManifest() {
    names_ = tests::split_model(kDemo, whole_, 3);
    work_.progress = [this](std::uint64_t done, std::uint64_t all) {
      if (done == all) read_ = all;
    };
  }
  absl::StatusOr<std::optional<NamedManifest>> of(const std::string& folder) {
    read_ = 0;
    const auto config = load_config(folder);
    const auto files = read_weight_files(folder);
    if (!files.ok()) return files.status();
    return folder_manifest(*config, *files, work_);
  }
  NamedManifest manifest(const std::string& folder) {
    auto result = of(folder);
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->has_value());
    return **std::move(result);
  }
  std::string parts(const std::vector<int>& numbers) {
    const std::string folder = folder_.file("parts" + std::to_string(++made_));
    std::vector<std::string> shards;
    for (const int number : numbers) shards.push_back(names_[static_cast<std::size_t>(number)]);
    tests::take_parts(whole_, folder, shards);
    return folder;
  }
  void copy_manifest(const std::string& to) {
    std::filesystem::copy_file(whole_ + "/" + kManifestName, to + "/" + kManifestName);
  }
  // One byte of a shard in place of another.
  void change(const std::string& path) {
    std::string bytes = read_file(path);
    bytes[bytes.size() / 2] ^= 1;
    std::filesystem::remove(path);
    write_file(path, bytes);
  }
  std::string shard(const std::string& folder, std::size_t number) {
    return folder + "/" + names_[number];
  }

  const TempDir folder_;
  const std::string whole_ = folder_.file("whole");
  std::vector<std::string> names_;
  FileWork work_;
  std::uint64_t read_ = 0;
  int made_ = 0;
};

TEST_F(FolderManifest, IsMadeOnceAndKeptBesideTheFiles) {
  const NamedManifest first = manifest(whole_);
  EXPECT_GT(read_, 13'000'000u);
  EXPECT_TRUE(std::filesystem::exists(whole_ + "/" + kManifestName));
  const NamedManifest second = manifest(whole_);
  EXPECT_EQ(read_, 0u);
  EXPECT_EQ(second.digest, first.digest);
  EXPECT_EQ(second.manifest, first.manifest);
  EXPECT_EQ(sha256(first.bytes).value(), first.digest);
  // Nothing else is left there.
  for (const auto& entry : std::filesystem::directory_iterator(whole_)) {
    EXPECT_NE(entry.path().filename().string()[0], '.') << entry.path();
  }
}

TEST_F(FolderManifest, OnlyFilesThatChangedAreReadAgain) {
  const NamedManifest before = manifest(whole_);
  const std::string path = shard(whole_, 2);
  const std::string bytes = read_file(path);
  ::timespec times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_EQ(manifest(whole_).digest, before.digest);  // another time: read, and the same
  EXPECT_EQ(read_, bytes.size());
  std::filesystem::rename(path, path + ".old");
  std::filesystem::copy_file(path + ".old", path);
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_EQ(manifest(whole_).digest, before.digest);  // another file of the same size and time
  EXPECT_EQ(read_, bytes.size());
  change(path);
  EXPECT_NE(manifest(whole_).digest, before.digest);
  EXPECT_EQ(read_, bytes.size());
  EXPECT_NE(manifest(whole_).digest, before.digest);
  EXPECT_EQ(read_, 0u);
}

TEST_F(FolderManifest, AKeptOneThatIsDamagedIsMadeAnew) {
  const Sha256Digest digest = manifest(whole_).digest;
  const std::string path = whole_ + "/" + kManifestName;
  const std::string text = read_file(path);
  for (const std::string& bad :
       {std::string(), std::string("{}"), text.substr(0, text.size() / 2),
        std::string(text).replace(text.find("\"hidden\""), 8, "\"hiddem\"")}) {
    write_file(path, bad);
    const NamedManifest again = manifest(whole_);
    EXPECT_EQ(again.digest, digest);
    EXPECT_THAT(again.warnings, ElementsAre(HasSubstr(path)));
    EXPECT_EQ(read_file(path), text);
    // Of parts it is all that there is.
    const std::string folder = parts({0});
    write_file(folder + "/" + kManifestName, bad);
    EXPECT_THAT(message(of(folder).status()), AllOf(HasSubstr(kManifestName), HasSubstr("remove")))
        << bad.size();
  }
  // A configuration that was edited is another model, whatever the kept one says.
  std::string config = read_file(whole_ + "/config.json");
  config.replace(config.find("1e-05"), 5, "1e-06");
  write_file(whole_ + "/config.json", config);
  EXPECT_NE(manifest(whole_).digest, digest);
  EXPECT_EQ(read_, 0u);
}

TEST_F(FolderManifest, PartsHaveTheDigestOfTheWhole) {
  const NamedManifest whole = manifest(whole_);
  for (const std::vector<int>& numbers : std::vector<std::vector<int>>{{0}, {1, 3}, {}}) {
    const std::string folder = parts(numbers);
    EXPECT_FALSE(of(folder)->has_value());  // nobody says what the whole is
    EXPECT_EQ(read_, 0u);
    copy_manifest(folder);
    EXPECT_EQ(manifest(folder).digest, whole.digest);
    EXPECT_EQ(manifest(folder).bytes, whole.bytes);
    EXPECT_EQ(read_, 0u);
  }
}

TEST_F(FolderManifest, PartsOfAnotherModelAreRefused) {
  manifest(whole_);
  const std::string folder = parts({0, 1});
  copy_manifest(folder);
  const auto refused = [&](const char* why) {
    EXPECT_THAT(message(of(folder).status()), AllOf(HasSubstr("are not parts of the model of"),
                                                    HasSubstr(why), HasSubstr("remove")));
  };
  const std::string path = shard(folder, 1);
  change(path);
  refused("has other bytes here");
  write_file(path, read_file(shard(whole_, 3)));
  refused("bytes here and");
  std::string bytes = read_file(shard(whole_, 1));
  bytes.replace(bytes.find("input_layernorm"), 15, "outer_layernorm");
  write_file(path, bytes);
  refused("has other tensors here");
  write_file(path, read_file(shard(whole_, 1)));
  EXPECT_TRUE(of(folder).ok());
  std::string config = read_file(folder + "/config.json");
  config.replace(config.find("1e-05"), 5, "1e-06");
  write_file(folder + "/config.json", config);
  refused("norm_eps is");
}

TEST_F(FolderManifest, WhatStrangersSayIsHeldAgainstTheFiles) {
  const NamedManifest whole = manifest(whole_);
  const std::string folder = parts({0, 2});
  const ModelConfig config = load_config(folder).value();
  const WeightFiles files = read_weight_files(folder).value();
  FileHashes hashes;
  const auto adopt = [&](const std::string& bytes, const Sha256Digest& digest) {
    return adopt_manifest(config, files, bytes, digest, hashes, work_);
  };
  // Bytes of another digest; no manifest; one of another model; one of other bytes.
  EXPECT_THAT(message(adopt(whole.bytes, {}).status()), HasSubstr("not the manifest of that"));
  EXPECT_FALSE(adopt("{}", sha256("{}").value()).ok());
  Manifest other = whole.manifest;
  other.configuration["heads"] = "3";
  std::string bytes = encode_manifest(other).value();
  EXPECT_THAT(message(adopt(bytes, sha256(bytes).value()).status()), HasSubstr("heads is"));
  EXPECT_TRUE(hashes.empty());  // told without reading
  other = whole.manifest;
  other.files[2].sha256[5] ^= 1;
  bytes = encode_manifest(other).value();
  EXPECT_THAT(message(adopt(bytes, sha256(bytes).value()).status()),
              HasSubstr(names_[2] + " has other bytes"));
  EXPECT_GT(read_, 0u);
  read_ = 0;
  const auto taken = adopt(whole.bytes, whole.digest);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(read_, 0u) << "read twice";
  EXPECT_EQ(taken->digest, whole.digest);
  // It is kept, and the files are known.
  EXPECT_EQ(manifest(folder).digest, whole.digest);
  EXPECT_EQ(read_, 0u);
}

TEST_F(FolderManifest, ACacheOfTheHubTellsTheHashes) {
  const NamedManifest whole = manifest(whole_);
  const std::string model = folder_.file("models--org--name");
  const std::string snapshot = model + "/snapshots/0123abcd";
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_directories(model + "/blobs");
  for (const ManifestFile& file : whole.manifest.files) {
    const std::string blob = to_hex(file.sha256);
    std::filesystem::copy_file(whole_ + "/" + file.name, model + "/blobs/" + blob);
    std::filesystem::create_symlink("../../blobs/" + blob, snapshot + "/" + file.name);
  }
  for (const char* name : {"config.json", "model.safetensors.index.json"}) {
    std::filesystem::copy_file(whole_ + "/" + name, snapshot + "/" + name);
  }
  EXPECT_EQ(manifest(snapshot).digest, whole.digest);
  EXPECT_EQ(read_, 0u) << "the names say it";
  // A blob that was not fetched: its size and tensors are not known here.
  std::filesystem::remove(snapshot + "/" + kManifestName);
  std::filesystem::remove(model + "/blobs/" + to_hex(whole.manifest.files[1].sha256));
  EXPECT_FALSE(of(snapshot)->has_value());
  // Another link is only a link.
  std::filesystem::create_symlink("../elsewhere/" + std::string(64, 'a'), folder_.file("link"));
  EXPECT_FALSE(hub_cache_hash(folder_.file("link")).has_value());
  std::filesystem::create_symlink("../blobs/" + std::string(40, 'a'), folder_.file("small"));
  EXPECT_FALSE(hub_cache_hash(folder_.file("small")).has_value());
}

TEST_F(FolderManifest, WhereTheFolderCannotBeWrittenItIsKeptInTheCache) {
  const std::string cache = folder_.file("cache");
  ASSERT_EQ(::setenv("XDG_CACHE_HOME", cache.c_str(), 1), 0);
  KeptManifest kept;
  kept.manifest.configuration["a"] = "b";
  kept.manifest.files.push_back({"f", 1, {}, {}});
  const std::string nowhere = folder_.file("not-there");
  const auto where = keep_manifest(nowhere, kept);
  ASSERT_TRUE(where.ok()) << where.status();
  EXPECT_THAT(*where, HasSubstr(cache + "/shoal/manifests/"));
  const auto again = read_kept_manifest(nowhere).value();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->manifest, kept.manifest);
  ASSERT_EQ(::unsetenv("XDG_CACHE_HOME"), 0);
}

TEST_F(FolderManifest, ReadingCanBeGivenUp) {
  base::StopToken stop;
  stop.stop(2);
  work_.stop = &stop;
  EXPECT_TRUE(absl::IsCancelled(of(whole_).status()));
  EXPECT_FALSE(std::filesystem::exists(whole_ + "/" + kManifestName));
}

TEST_F(FolderManifest, SeveralThreadsFindTheSame) {
  std::vector<std::string> paths;
  for (const std::string& name : names_) paths.push_back(whole_ + "/" + name);
  FileWork several;
  several.threads = 3;
  const auto together = hash_files(paths, several).value();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    EXPECT_EQ(together[i].sha256, sha256(read_file(paths[i])).value());
    EXPECT_EQ(together[i].stamp.size, std::filesystem::file_size(paths[i]));
  }
  paths.push_back(whole_ + "/no-such-file");
  EXPECT_THAT(message(hash_files(paths, several).status()), HasSubstr("no-such-file"));
}

}  // namespace
}  // namespace shoal::model
