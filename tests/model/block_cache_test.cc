// SPDX-License-Identifier: Apache-2.0
// Blocks are packed once: the second time they are mapped from the cache, the same bytes, whatever
// happened to it meanwhile.
#include "model/block_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>

#include "model/folder_manifest.h"
#include "model/span_layers.h"
#include "model/span_runner.h"
#include "tests/support/model_folder.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

namespace fs = std::filesystem;
using tests::read_file;
using tests::write_file;

const std::string kDemo = SHOAL_SOURCE_DIR "/models/demo";
constexpr std::int64_t kBlocks = 2;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What a load made, and how.
struct Loaded {
  std::vector<std::string> matrices;  // of all blocks
  int mapped = 0;                     // blocks
  std::uint64_t packed_bytes = 0;     // as they are stored
  std::uint64_t read_bytes = 0;       // of the cache
  std::vector<std::string> warnings;
};

class BlockCacheTest : public testing::Test {
 protected:
  // A model of its own, so that a test may change it.
  BlockCacheTest() { tests::copy_model(kDemo, model_); }

  Loaded load(WeightChoice weights, const std::string& directory,
              std::optional<base::MemorySize> limit = std::nullopt) {
    Loaded result;
    const ModelConfig config = load_config(model_).value();
    const WeightFiles files = read_weight_files(model_).value();
    const Checkpoint checkpoint = Checkpoint::open_held(files).value();
    const NamedManifest named = folder_manifest(config, files, {}).value().value();
    BlockCache cache({.directory = directory,
                      .limit = limit,
                      .warn = [&](const std::string& text) { result.warnings.push_back(text); }},
                     contents_of(files, named.manifest));
    PackOptions options;
    options.cache = &cache;
    options.packing.progress = [&](std::uint64_t done, std::uint64_t) {
      result.packed_bytes = done;
    };
    options.reading.progress = [&](std::uint64_t done, std::uint64_t) { result.read_bytes = done; };
    const auto layers =
        load_span_layers(config, checkpoint, 0, kBlocks, *executor_, weights, options).value();
    for (const BlockLayers& block : layers) {
      result.mapped += block.file ? 1 : 0;
      for (const auto matrix : block.packed(*executor_).matrices)
        result.matrices.push_back(text_of(matrix));
    }
    return result;
  }
  Loaded load(WeightChoice weights) { return load(weights, cache_); }

  std::vector<std::string> cached() const {
    std::vector<std::string> paths;
    for (const auto& entry : fs::directory_iterator(cache_)) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  const tests::TempDir folder_;
  const std::string model_ = folder_.file("model");
  const std::string cache_ = folder_.file("cache/blocks");
  const std::unique_ptr<kernels::Executor> executor_ = kernels::Executor::cpu(2);
};

TEST_F(BlockCacheTest, TheSecondTimeBlocksAreMapped) {
  for (const WeightChoice weights : {WeightChoice::kQ8, WeightChoice::kQ4, WeightChoice::kQ4S}) {
    const Loaded without = load(weights, "");
    EXPECT_EQ(without.mapped, 0);
    const Loaded first = load(weights), second = load(weights);
    EXPECT_EQ(first.packed_bytes, kBlocks * 2u * (737'792 - 2 * 256));  // models/demo/README.md
    EXPECT_EQ(first.mapped, kBlocks) << "kept, what was packed need not be in memory";
    EXPECT_EQ(second.packed_bytes, 0u);
    EXPECT_EQ(second.mapped, kBlocks);
    EXPECT_GT(second.read_bytes, 100'000u);
    EXPECT_EQ(first.matrices, without.matrices);
    EXPECT_EQ(second.matrices, without.matrices);
    EXPECT_THAT(second.warnings, testing::IsEmpty());
  }
  EXPECT_EQ(cached().size(), 3u * kBlocks);
}

TEST_F(BlockCacheTest, WhatIsDamagedIsMadeAnew) {
  const Loaded whole = load(WeightChoice::kQ4);
  const std::string path = cached().front(), other = cached().back();
  const std::string bytes = read_file(path);
  const auto flipped = [&](std::size_t at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    return changed;
  };
  std::string version = bytes;
  version[8] = static_cast<char>(version[8] + 1);
  const std::vector<std::pair<const char*, std::string>> damages = {
      {"first byte", flipped(0)},
      {"key", flipped(20)},
      {"size", flipped(48)},
      {"checksum", flipped(60)},
      {"checksum of the header", flipped(72)},
      {"first scale", flipped(4096)},
      {"a weight", flipped(bytes.size() / 2)},
      {"last byte", flipped(bytes.size() - 1)},
      {"another version", version},
      {"empty", ""},
      {"only a header", bytes.substr(0, 4096)},
      {"cut", bytes.substr(0, bytes.size() - 1)},
      {"longer", bytes + "x"},
      {"another block", read_file(other)},
      {"something else", std::string(10'000, 'x')},
  };
  for (const auto& [name, damaged] : damages) {
    fs::remove(path);
    write_file(path, damaged);
    const Loaded again = load(WeightChoice::kQ4);
    EXPECT_EQ(again.matrices, whole.matrices) << name;
    EXPECT_EQ(again.packed_bytes, whole.packed_bytes / kBlocks) << name;
    ASSERT_EQ(again.warnings.size(), 1u) << name;
    EXPECT_THAT(again.warnings.front(), testing::HasSubstr(path)) << name;
    EXPECT_EQ(read_file(path), bytes) << name;
    EXPECT_THAT(load(WeightChoice::kQ4).warnings, testing::IsEmpty()) << name;
  }
}

TEST_F(BlockCacheTest, BlocksAreKnownByWhatTheyWerePackedFrom) {
  const Loaded before = load(WeightChoice::kQ4);
  // A copy of the model elsewhere finds them.
  fs::rename(model_, folder_.file("elsewhere"));
  tests::copy_model(kDemo, model_);
  EXPECT_EQ(load(WeightChoice::kQ4).packed_bytes, 0u);
  // Another model of the same shapes does not: one byte of the file is another.
  std::string weights = read_file(model_ + "/model.safetensors");
  weights[weights.size() - 1'000'000] ^= 0x40;
  fs::remove(model_ + "/model.safetensors");
  write_file(model_ + "/model.safetensors", weights);
  const Loaded other = load(WeightChoice::kQ4);
  EXPECT_EQ(other.packed_bytes, before.packed_bytes);
  EXPECT_EQ(other.matrices, load(WeightChoice::kQ4, "").matrices);
  EXPECT_EQ(cached().size(), 2u * kBlocks);
}

TEST_F(BlockCacheTest, NothingIsKeptOfFilesWhoseContentIsNotKnown) {
  const ModelConfig config = load_config(model_).value();
  const WeightFiles files = read_weight_files(model_).value();
  const Checkpoint checkpoint = Checkpoint::open_held(files).value();
  const NamedManifest named = folder_manifest(config, files, {}).value().value();
  FileContents contents = contents_of(files, named.manifest);
  EXPECT_TRUE(block_key(config, checkpoint, contents, 0, WeightChoice::kQ4).has_value());
  EXPECT_FALSE(block_key(config, checkpoint, {}, 0, WeightChoice::kQ4).has_value());
  // The file that is open is not the one that was read for the manifest.
  contents.begin()->second.stamp.mtime_ns += 1;
  EXPECT_FALSE(block_key(config, checkpoint, contents, 0, WeightChoice::kQ4).has_value());
}

TEST_F(BlockCacheTest, ACacheThatCannotBeWrittenIsOneWarning) {
  const Loaded whole = load(WeightChoice::kQ4S, "");
  const std::string file = folder_.file("a file");
  write_file(file, "x");
  for (const std::string& directory : {file, file + "/below", std::string("/proc/nowhere")}) {
    const Loaded loaded = load(WeightChoice::kQ4S, directory);
    EXPECT_EQ(loaded.matrices, whole.matrices) << directory;
    EXPECT_EQ(loaded.mapped, 0);
    ASSERT_EQ(loaded.warnings.size(), 1u) << directory;
    EXPECT_THAT(loaded.warnings.front(), testing::HasSubstr(directory));
  }
}

TEST_F(BlockCacheTest, TheLimitIsKeptAndNobodyElsesFilesAreTouched) {
  load(WeightChoice::kQ8);
  const std::uint64_t each = fs::file_size(cached().front());
  write_file(cache_ + "/mine.q8", "mine");
  write_file(cache_ + "/" + std::string(64, 'a') + ".q5", "mine too");
  // Room for one block of q8 and two of q4.
  const Loaded q4 = load(WeightChoice::kQ4, cache_, base::MemorySize{each * 23 / 10, 0});
  EXPECT_EQ(q4.mapped, kBlocks);
  EXPECT_THAT(q4.warnings, testing::IsEmpty());
  int q8_left = 0, q4_left = 0, others = 0;
  for (const std::string& path : cached()) {
    if (fs::path(path).filename().string().size() != 64 + 3 || path.ends_with(".q5")) {
      ++others;
    } else {
      (path.ends_with(".q8") ? q8_left : q4_left) += 1;
    }
  }
  EXPECT_EQ(q8_left, 1);
  EXPECT_EQ(q4_left, kBlocks);
  EXPECT_EQ(others, 2);
  // Less than this very span: what fits is kept, the rest is packed, and it is said.
  const Loaded little = load(WeightChoice::kQ8, cache_, base::MemorySize{each * 15 / 10, 0});
  EXPECT_EQ(little.mapped, 1);
  ASSERT_EQ(little.warnings.size(), 1u);
  EXPECT_THAT(little.warnings.front(), testing::HasSubstr("--cache-limit"));
}

TEST_F(BlockCacheTest, UseIsTheTimeOfAccess) {
  load(WeightChoice::kQ4);
  const std::string path = cached().front();
  const timespec long_ago[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 0},
                                {.tv_sec = 1'000'000'001, .tv_nsec = 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), long_ago, 0), 0);
  load(WeightChoice::kQ4);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_GT(info.st_atim.tv_sec, 1'000'000'001);
  EXPECT_EQ(info.st_mtim.tv_sec, 1'000'000'001) << "others who have it mapped watch it";
}

TEST_F(BlockCacheTest, WhatAKilledWriterLeftIsTidiedUp) {
  load(WeightChoice::kQ4);
  const std::string name = fs::path(cached().front()).filename().string();
  const std::string left = cache_ + "/." + name + ".AbCdEf",
                    written = cache_ + "/." + name + ".GhIjKl";
  write_file(left, "half of it");
  write_file(written, "half of it");
  const int file = ::open(written.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);  // as its writer holds it
  load(WeightChoice::kQ4);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(written));
  ::close(file);
}

TEST_F(BlockCacheTest, AFileThatChangesWhileItIsMappedIsNoticed) {
  load(WeightChoice::kQ4);
  const ModelConfig config = load_config(model_).value();
  const WeightFiles files = read_weight_files(model_).value();
  const Checkpoint checkpoint = Checkpoint::open_held(files).value();
  const NamedManifest named = folder_manifest(config, files, {}).value().value();
  BlockCache cache({.directory = cache_}, contents_of(files, named.manifest));
  SpanOptions options{.rows = 1, .kv_positions = 32, .weights = WeightChoice::kQ4};
  options.pack.cache = &cache;
  const auto start = [&] {
    return SpanRunner::load(config, checkpoint, 0, kBlocks, *executor_, options).value();
  };
  const std::string path = cached().front(), bytes = read_file(path);
  auto runner = start();
  EXPECT_TRUE(runner->check().ok());
  // Another process uses it too, replaces it, removes it: ours is as it was.
  auto also = start();
  EXPECT_TRUE(runner->check().ok());
  fs::remove(path);
  write_file(path, bytes);
  EXPECT_TRUE(runner->check().ok());
  runner = start();
  // Written to in its place.
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(::pwrite(file, "x", 1, 5'000), 1);
  ::close(file);
  EXPECT_EQ(runner->check().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(runner->check().message()), testing::HasSubstr(path));
  EXPECT_TRUE(also->check().ok());
  // And truncated.
  runner = start();
  EXPECT_TRUE(runner->check().ok());
  ASSERT_EQ(::truncate(path.c_str(), 4'096), 0);
  EXPECT_EQ(runner->check().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(start()->check().ok());
}

TEST_F(BlockCacheTest, PackingAndReadingCanBeInterrupted) {
  const ModelConfig config = load_config(model_).value();
  const WeightFiles files = read_weight_files(model_).value();
  const Checkpoint checkpoint = Checkpoint::open_held(files).value();
  const NamedManifest named = folder_manifest(config, files, {}).value().value();
  BlockCache cache({.directory = cache_}, contents_of(files, named.manifest));
  base::StopToken stop;
  PackOptions options{.cache = &cache, .reading = {.stop = &stop}, .packing = {.stop = &stop}};
  stop.stop(2);
  const auto status = [&] {
    return load_span_layers(config, checkpoint, 0, kBlocks, *executor_, WeightChoice::kQ4, options)
        .status()
        .code();
  };
  EXPECT_EQ(status(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(cache_));
  load(WeightChoice::kQ4);
  EXPECT_EQ(status(), absl::StatusCode::kCancelled);
}

// What stands in a file is known by its name alone: whoever changes these bytes raises
// kPackVersion.
TEST_F(BlockCacheTest, NamesAndBytesOfThisVersion) {
  ASSERT_EQ(kPackVersion, 1u);
  const std::vector<std::pair<WeightChoice, std::vector<std::string>>> expected = {
      {WeightChoice::kQ8, {"292d28e7 08dc5b82", "cd73e1ed 09cea732"}},
      {WeightChoice::kQ4, {"b1d71f01 00a30a59", "c886b3ac 9e7ca6cd"}},
      {WeightChoice::kQ4S, {"6f21b3bc 249d5666", "76415236 a4f45859"}}};
  for (const auto& [weights, files] : expected) {
    fs::remove_all(cache_);
    load(weights);
    std::vector<std::string> found;
    for (const std::string& path : cached()) {
      found.push_back(fs::path(path).filename().string().substr(0, 8) + " " +
                      to_hex(sha256(read_file(path)).value()).substr(0, 8));
    }
    EXPECT_EQ(found, files) << name_of(weights);
  }
}

TEST(CacheOptionsTest, AsPeopleWriteThem) {
  EXPECT_EQ(cache_options("/d", "").value().directory, "/d");
  EXPECT_EQ(cache_options("off", "").value().directory, "");
  EXPECT_THAT(cache_options("", "").value().directory,
              testing::AnyOf("", testing::EndsWith("/shoal/blocks")));
  EXPECT_EQ(cache_options("", "").value().limit->bytes, std::uint64_t{64} << 30);
  EXPECT_EQ(cache_options("", "off").value().limit, std::nullopt);
  EXPECT_EQ(cache_options("", "5GB").value().limit->bytes, 5'000'000'000u);
  EXPECT_EQ(cache_options("", "50%").value().limit->percent, 50);
  for (const char* wrong : {"0", "much", "-1", "5XB"}) {
    const absl::Status status = cache_options("", wrong).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("--cache-limit")) << wrong;
  }
}

}  // namespace
}  // namespace shoal::model
