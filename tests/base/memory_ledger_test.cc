// SPDX-License-Identifier: Apache-2.0
// Nodes on one machine do not promise the same memory twice: each sees what the others have
// reserved and not touched, for as long as they live, and nothing else in the folder misleads it.
#include "base/memory_ledger.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/memory_budget.h"
#include "tests/support/temp_dir.h"

namespace shoal::base {
namespace {

constexpr std::uint64_t kMega = 1 << 20;
constexpr std::chrono::milliseconds kSoon{200};

class Ledgers : public testing::Test {
 protected:
  void SetUp() override {
    file("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8388608 kB\n");
    process(1'000, 0);
    ASSERT_EQ(::chmod(home_.path().c_str(), 0700), 0);
  }
  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = std::filesystem::path(root_.path()) / path;
    std::filesystem::create_directories(whole.parent_path());
    tests::write_file(whole.string(), text);
  }
  // What the machine says of this process.
  void process(std::uint64_t started, std::uint64_t touched_mib) {
    const std::string folder = "proc/" + std::to_string(::getpid()) + "/";
    file(folder + "status", "Name:\tx\nRssAnon:\t " + std::to_string(touched_mib * 1024) + " kB\n");
    file(folder + "stat", "1 (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 " +
                              std::to_string(started) + " 20\n");
  }
  std::unique_ptr<MemoryLedger> open() {
    auto ledger = MemoryLedger::open(folder(), root_.path());
    EXPECT_TRUE(ledger.ok()) << ledger.status();
    return ledger.ok() ? *std::move(ledger) : nullptr;
  }
  std::filesystem::path folder() const {
    return std::filesystem::path(home_.path()) / "shoal" / "memory";
  }
  static void claim(MemoryLedger& ledger, const MemoryClaim& claim) {
    const auto turn = ledger.take_turn(kSoon);
    ASSERT_TRUE(turn.ok()) << turn.status();
    const absl::Status told = ledger.claim(*turn, claim);
    ASSERT_TRUE(told.ok()) << told;
  }
  static PromisedMemory promised(MemoryLedger& ledger, bool with_own = false) {
    const auto turn = ledger.take_turn(kSoon);
    EXPECT_TRUE(turn.ok()) << turn.status();
    return ledger.promised(*turn, with_own);
  }

  tests::TempDir root_, home_;
};

TEST_F(Ledgers, AnEntrySurvivesItsFile) {
  const MemoryEntry entry{77, 4'711, {5, 6, {{"a GPU", 7}}}, {"host", "group 1:2"}};
  const auto read = parse_entry(entry_text(entry));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->process, 77);
  EXPECT_EQ(read->started, 4'711u);
  EXPECT_EQ(read->claim.mapped_bytes, 5u);
  EXPECT_EQ(read->claim.own_bytes, 6u);
  EXPECT_EQ(read->claim.devices, entry.claim.devices);
  EXPECT_EQ(read->pools, entry.pools);
}

TEST_F(Ledgers, WhatIsNoEntryIsRefused) {
  const std::string good = entry_text({77, 1, {5, 6, {}}, {"host"}});
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("shoal-memory 2\nprocess 1 1\n"),
        std::string("shoal-memory 1\n"), good.substr(0, good.size() - 1),
        std::string("shoal-memory 1\nprocess -1 1\n"), std::string("shoal-memory 1\nprocess 1\n"),
        std::string("shoal-memory 1\nprocess 1 1\nown x\n"),
        std::string("shoal-memory 1\nprocess 1 1\nown 99999999999999999999\n"),
        std::string("shoal-memory 1\nprocess 1 1\nown 18446744073709551615\n"),
        std::string("shoal-memory 1\nprocess 1 1\ndevice 5\n"),
        std::string("shoal-memory 1\nprocess 1 1\nin \n"), std::string(20'000, '\n'),
        std::string(1'000, '\0') + "\n"}) {
    EXPECT_FALSE(parse_entry(text).ok()) << text.substr(0, 60);
  }
  EXPECT_TRUE(parse_entry(good + "later 1 2 3\n").ok()) << "a later version says more";
}

TEST_F(Ledgers, OthersSeeWhatIsReservedAndNotTouched) {
  const auto one = open(), other = open();
  claim(*one, {.mapped_bytes = 100 * kMega, .own_bytes = 50 * kMega, .devices = {{"G", 9}}});
  EXPECT_EQ(promised(*one).of(kHostPool), 0u) << "not its own";
  EXPECT_EQ(promised(*other).of(kHostPool), 150 * kMega);
  EXPECT_EQ(promised(*other).of(device_pool("G")), 9u);
  EXPECT_EQ(promised(*other).of(device_pool("H")), 0u);
  // What it has touched the system counts by itself; but not what is mapped from files.
  process(1'000, 20);
  EXPECT_EQ(promised(*other).of(kHostPool), 130 * kMega);
  process(1'000, 500);
  EXPECT_EQ(promised(*other).of(kHostPool), 100 * kMega);
  // Another process that has the number by now says nothing of it.
  process(2'000, 500);
  EXPECT_EQ(promised(*other).of(kHostPool), 150 * kMega);
}

TEST_F(Ledgers, AClaimReplacesTheEarlierOneAndEndsWithItsLedger) {
  auto one = open();
  const auto other = open();
  claim(*one, {.mapped_bytes = 100 * kMega, .own_bytes = 100 * kMega});
  claim(*one, {.mapped_bytes = 10 * kMega});
  EXPECT_EQ(promised(*other).of(kHostPool), 10 * kMega);
  EXPECT_EQ(promised(*one, true).own, 10 * kMega);
  one.reset();
  EXPECT_EQ(promised(*other).of(kHostPool), 0u);
}

TEST_F(Ledgers, AnEntryGoesWithItsProcess) {
  const auto other = open();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto own = open();
    claim(*own, {.mapped_bytes = 30 * kMega});
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(promised(*other).of(kHostPool), 30 * kMega);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(promised(*other).of(kHostPool), 0u);
  EXPECT_TRUE(promised(*other).notes.empty());
  int entries = 0;
  for (const auto& found : std::filesystem::directory_iterator(folder())) {
    if (found.path().extension() == ".claim") ++entries;
  }
  EXPECT_EQ(entries, 0) << "it was removed";
}

TEST_F(Ledgers, RubbishInTheFolderIsIgnoredWithALine) {
  const auto one = open(), other = open();
  claim(*one, {.own_bytes = 5 * kMega});
  const std::string secret = home_.file("secret");
  tests::write_file(secret, entry_text({1, 1, {kMega, 0, {}}, {"host"}}));
  std::filesystem::create_symlink(secret, folder() / "1-1.claim");
  std::filesystem::create_directory(folder() / "2-1.claim");
  ASSERT_EQ(::mkfifo((folder() / "3-1.claim").c_str(), 0600), 0);
  tests::write_file((folder() / "note.txt").string(), "not an entry");
  const PromisedMemory found = promised(*other);
  EXPECT_EQ(found.of(kHostPool), 5 * kMega);
  EXPECT_EQ(found.notes.size(), 3u);
  for (const std::string& note : found.notes) {
    EXPECT_NE(note.find(".claim is ignored"), std::string::npos) << note;
  }
}

TEST_F(Ledgers, AFolderThatOthersMayChangeIsNotUsed) {
  std::filesystem::create_directories(folder());
  ASSERT_EQ(::chmod(folder().c_str(), 0777), 0);
  const auto ledger = MemoryLedger::open(folder(), root_.path());
  EXPECT_EQ(ledger.status().code(), absl::StatusCode::kPermissionDenied) << ledger.status();
  std::filesystem::remove(folder());
  std::filesystem::create_symlink(home_.path(), folder());
  EXPECT_EQ(MemoryLedger::open(folder(), root_.path()).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(Ledgers, OneLooksAtATime) {
  const auto one = open(), other = open();
  {
    const auto turn = one->take_turn(kSoon);
    ASSERT_TRUE(turn.ok());
    EXPECT_EQ(other->take_turn(std::chrono::milliseconds(30)).status().code(),
              absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(other->take_turn(kSoon).ok());
}

TEST_F(Ledgers, ABudgetLeavesWhatIsPromised) {
  const auto one = open(), other = open();
  claim(*one, {.mapped_bytes = 1024 * kMega});
  const MemoryBudget left = memory_budget(root_.path(), {}, std::nullopt, promised(*other));
  EXPECT_EQ(left.all.bytes, 7 * 1024 * kMega);
  EXPECT_NE(left.all.from.find("1024 MiB that nodes here have reserved"), std::string::npos)
      << left.all.from;
  // Beside its own: of --memory too.
  const MemorySize most{.bytes = 1536 * kMega};
  EXPECT_EQ(memory_budget(root_.path(), {}, most, promised(*one, true)).all.bytes, 512 * kMega);
  EXPECT_EQ(memory_budget(root_.path(), {}, most, promised(*other)).all.bytes, 1536 * kMega);
}

TEST_F(Ledgers, NodesOfOneControlGroupShareItsLimit) {
  file("proc/self/mountinfo", "31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  file("proc/self/cgroup", "0::/a/b\n");
  file("sys/fs/cgroup/a/memory.max", "1073741824\n");
  file("sys/fs/cgroup/a/memory.current", "0\n");
  file("sys/fs/cgroup/a/b/memory.max", "max\n");
  const auto one = open(), other = open();
  claim(*one, {.mapped_bytes = 624 * kMega});
  EXPECT_EQ(memory_budget(root_.path(), {}, std::nullopt, promised(*other)).all.bytes, 400 * kMega);
  // A process of another group takes nothing of this one.
  file("sys/fs/cgroup/c/memory.max", "1073741824\n");
  file("sys/fs/cgroup/c/memory.current", "0\n");
  file("proc/self/cgroup", "0::/c\n");
  EXPECT_EQ(memory_budget(root_.path(), {}, std::nullopt, promised(*other)).all.bytes,
            1024 * kMega);
}

}  // namespace
}  // namespace shoal::base
