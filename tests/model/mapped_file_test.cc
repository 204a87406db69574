// SPDX-License-Identifier: Apache-2.0
// A file may change under its mapping: that is seen before anybody uses what was read.
#include "model/mapped_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "model/file_guard.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using testing::HasSubstr;
using tests::TempDir;
using tests::write_file;

class MappedFiles : public testing::Test {
 protected:
  MappedFiles() {
    write_file(path_, std::string(3 * 65'536, 'x'));
    // As if it had been there for long: a write within a tick of the clock has another time.
    const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    EXPECT_EQ(utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  }
  MappedFile open() {
    auto file = MappedFile::open(path_);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  static std::string text(const absl::Status& status) { return std::string(status.message()); }

  TempDir folder_;
  const std::string path_ = folder_.file("weights");
};

TEST_F(MappedFiles, UntouchedIsWhole) {
  const MappedFile file = open();
  EXPECT_TRUE(file.check().ok()) << file.check();
  EXPECT_FALSE(file.is_replaced());
  std::filesystem::permissions(path_, std::filesystem::perms::owner_read);
  EXPECT_TRUE(file.check().ok()) << "another mode is not another content";
}

TEST_F(MappedFiles, AByteWrittenInPlaceIsSeen) {
  const MappedFile file = open();
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(pwrite(descriptor, "y", 1, 70'000), 1);
  close(descriptor);
  EXPECT_THAT(text(file.check()), HasSubstr(path_ + " was changed"));
}

TEST_F(MappedFiles, AFileThatIsMovedAwayIsStillWatched) {
  const MappedFile file = open();
  std::filesystem::rename(path_, path_ + ".old");
  EXPECT_TRUE(file.check().ok());
  EXPECT_TRUE(file.is_replaced());
  write_file(path_, "another");
  EXPECT_TRUE(file.check().ok());
  EXPECT_TRUE(file.is_replaced());
  std::filesystem::resize_file(path_ + ".old", 10);
  EXPECT_FALSE(file.check().ok());
}

TEST_F(MappedFiles, WhatIsTruncatedReadsAsZerosAndIsSeen) {
  guard_mapped_files("test", LostFile::kGoOn);
  const MappedFile file = open();
  const std::string other_path = folder_.file("other");
  write_file(other_path, std::string(65'536, 'z'));
  const auto other = MappedFile::open(other_path);
  ASSERT_TRUE(other.ok());
  std::filesystem::resize_file(path_, 4'096);
  const volatile std::byte* data = file.data();
  EXPECT_TRUE(data[100] == std::byte{'x'});
  EXPECT_TRUE(data[2 * 65'536] == std::byte{0});
  EXPECT_THAT(text(file.check()), HasSubstr(path_ + " was truncated"));
  // Also when it is long again, with the old time: somebody has read zeros.
  std::filesystem::resize_file(path_, 3 * 65'536);
  const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  EXPECT_EQ(utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  EXPECT_FALSE(file.check().ok());
  EXPECT_TRUE(other->check().ok());
}

TEST_F(MappedFiles, AProgramThatCannotGoOnEndsWithTheName) {
  const auto touch = [&] {
    guard_mapped_files("prog", LostFile::kExit);
    const MappedFile file = open();
    std::filesystem::resize_file(path_, 0);
    const volatile std::byte* data = file.data();
    if (data[65'536] == std::byte{'x'}) std::abort();
  };
  EXPECT_EXIT(touch(), testing::ExitedWithCode(1), "prog: .*weights was truncated");
}

// One line, also when several threads find out at once.
TEST_F(MappedFiles, AProgramThatCannotGoOnSaysSoOnce) {
  const auto touch = [&] {
    guard_mapped_files("prog", LostFile::kExit);
    const MappedFile file = open();
    std::filesystem::resize_file(path_, 0);
    std::atomic<int> ready = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        const volatile std::byte* data = file.data();
        for (++ready; ready < 8;) {
        }
        if (data[65'536] == std::byte{'x'}) std::abort();
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  for (int i = 0; i < 10; ++i) {
    EXPECT_EXIT(touch(), testing::ExitedWithCode(1), "^prog: [^\n]*weights was [^\n]*\n$");
    write_file(path_, std::string(3 * 65'536, 'x'));
  }
}

}  // namespace
}  // namespace shoal::model
