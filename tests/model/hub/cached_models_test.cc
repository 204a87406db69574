// SPDX-License-Identifier: Apache-2.0
// The cache folder, laid out as the hub's own tools do.
#include "model/hub/cached_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/hub/cache_lock.h"
#include "tests/support/temp_dir.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tests::TempDir;

const std::string kSomeCommit(40, 'c');
const std::string kBlobEtag(64, 'a');

TEST(HubCache, LiesAsTheHubsOwnToolsHaveIt) {
  const TempDir folder;
  const Cache cache(folder.path());
  const HubName name{"org/some-model", "main"};
  EXPECT_EQ(cache.folder(name.repo), folder.file("models--org--some-model"));
  EXPECT_EQ(cache.commit_of(name), std::nullopt);
  ASSERT_TRUE(cache.keep_commit(name, kSomeCommit).ok());
  EXPECT_EQ(tests::read_file(folder.file("models--org--some-model/refs/main")), kSomeCommit);
  EXPECT_EQ(cache.commit_of(name), kSomeCommit);
  EXPECT_EQ(cache.commit_of({name.repo, kSomeCommit}), kSomeCommit);
  ASSERT_TRUE(cache.keep_commit({name.repo, "refs/pr/1"}, kSomeCommit).ok());
  EXPECT_EQ(cache.commit_of({name.repo, "refs/pr/1"}), kSomeCommit);

  const RemoteFile file{"onnx/a.json", 3, kBlobEtag};
  EXPECT_FALSE(cache.has_blob(name.repo, file));
  fs::create_directories(folder.file("models--org--some-model/blobs"));
  tests::write_file(cache.blob(name.repo, kBlobEtag), "abc");
  EXPECT_TRUE(cache.has_blob(name.repo, file));
  ASSERT_TRUE(cache.link(name.repo, kSomeCommit, file).ok());
  const std::string link = cache.snapshot(name.repo, kSomeCommit) + "/onnx/a.json";
  EXPECT_EQ(fs::read_symlink(link).string(), "../../../blobs/" + kBlobEtag);
  EXPECT_EQ(tests::read_file(link), "abc");
  EXPECT_THAT(cache.listing_of_snapshot(name.repo, kSomeCommit).files, ElementsAre(file));
  EXPECT_EQ(cache.lock_file(name.repo, kBlobEtag),
            folder.file(".locks/models--org--some-model/" + kBlobEtag + ".lock"));
}

TEST(HubCache, ListsWhatIsHereAndRemovesIt) {
  const TempDir folder;
  const Cache cache(folder.path());
  EXPECT_THAT(cached_models(cache), IsEmpty());
  fs::create_directories(folder.file("models--org--name/blobs"));
  fs::create_directories(folder.file("datasets--org--name/blobs"));
  fs::create_directories(cache.own_folder("org/name", kSomeCommit) + "/blocks-0-2");
  fs::create_directories(cache.own_folder("org/name", kSomeCommit) + "/ends");
  fs::create_directories(cache.own_folder("org/name", kSomeCommit) + "/headers");
  tests::write_file(cache.blob("org/name", kBlobEtag), std::string(10'000, 'x'));
  ASSERT_TRUE(cache.keep_commit({"org/name", "main"}, kSomeCommit).ok());
  ASSERT_TRUE(cache.link("org/name", kSomeCommit, {"a.safetensors", 10'000, kBlobEtag}).ok());
  const auto models = cached_models(cache);
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].repo, "org/name");
  EXPECT_THAT(models[0].revisions, ElementsAre("main"));
  EXPECT_GE(models[0].disk_bytes, 10'000u);
  EXPECT_EQ(models[0].weight_bytes, 10'000u);
  EXPECT_EQ(models[0].whole_bytes, 10'000u);
  EXPECT_THAT(models[0].parts, ElementsAre("blocks 0:2", "ends"));

  EXPECT_GE(remove_cached(cache, "org/name").value(), 10'000u);
  EXPECT_FALSE(fs::exists(folder.file("models--org--name")));
  EXPECT_TRUE(fs::exists(folder.file("datasets--org--name")));
  EXPECT_THAT(std::string(remove_cached(cache, "org/name").status().message()),
              HasSubstr("shoal models"));
}

TEST(HubCache, OfTwoThatWantAFileOneWaits) {
  const TempDir folder;
  const std::string path = folder.file("locks/x.lock");
  base::StopToken stop;
  auto first = CacheLock::take(path, stop, {});
  ASSERT_TRUE(first.ok());
  int waits = 0;
  const auto second = CacheLock::take(path, stop, [&] {
    ++waits;
    stop.stop(2);
  });
  EXPECT_TRUE(absl::IsCancelled(second.status()));
  EXPECT_EQ(waits, 1);
  { const CacheLock gone = *std::move(first); }
  const base::StopToken never;
  EXPECT_TRUE(CacheLock::take(path, never, {}).ok());
}

}  // namespace
}  // namespace shoal::model::hub
