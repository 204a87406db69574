// SPDX-License-Identifier: Apache-2.0
// What a process may take, on machines as they are: bare, systemd, docker, LXC; control groups of
// version 1, 2 and both.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/control_groups.h"
#include "base/memory_budget.h"
#include "base/memory_size.h"
#include "tests/support/temp_dir.h"

namespace shoal::base {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;

TEST(MemorySize, AsPeopleWriteIt) {
  const std::vector<std::pair<const char*, std::uint64_t>> sizes = {{"6GiB", 6 * kGiB},
                                                                    {"6G", 6 * kGiB},
                                                                    {"6g", 6 * kGiB},
                                                                    {"500MB", 500'000'000},
                                                                    {"500 MB", 500'000'000},
                                                                    {"1.5GiB", 1536 * kMiB},
                                                                    {"2TB", 2'000'000'000'000},
                                                                    {"1048576", kMiB},
                                                                    {"1024kib", kMiB},
                                                                    {"7b", 7},
                                                                    {"0.5k", 512}};
  for (const auto& [text, bytes] : sizes) {
    const auto size = parse_memory_size(text);
    ASSERT_TRUE(size.ok()) << text << ": " << size.status();
    EXPECT_EQ(size->of(100), bytes) << text;
  }
  EXPECT_EQ(parse_memory_size("50%")->of(8 * kGiB), 4 * kGiB);
  EXPECT_EQ(parse_memory_size("100%")->of(8 * kGiB), 8 * kGiB);
  EXPECT_EQ(parse_memory_size("12.5%")->of(8 * kGiB), kGiB);
}

TEST(MemorySize, WhatIsNoneIsRefusedWithAnExample) {
  for (const char* text : {"", "GiB", "-1G", "0", "0%", "101%", "1e3", "6GiBs", "6 GiB ", "  6G",
                           "nan", "inf", "6,5G", "0.1", "99999999999T", "1%G", "0x10", "+5G"}) {
    const auto size = parse_memory_size(text);
    EXPECT_FALSE(size.ok()) << text;
    EXPECT_NE(size.status().ToString().find("6GiB"), std::string::npos) << size.status();
  }
}

class Machine : public testing::Test {
 protected:
  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = std::filesystem::path(root_.path()) / path;
    std::filesystem::create_directories(whole.parent_path());
    tests::write_file(whole.string(), text);
  }
  void memory(const std::string& total_kb, const std::string& available_kb) {
    file("proc/meminfo", "MemTotal:       " + total_kb + " kB\nMemFree:         100 kB\n" +
                             "MemAvailable:   " + available_kb + " kB\nHugePages_Total:       0\n");
  }
  // As the kernel writes it: version 2 alone, version 1 alone, both.
  void version2(const std::string& root = "/") {
    file("proc/self/mountinfo",
         "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
         "31 23 0:26 " +
             root +
             " /sys/fs/cgroup rw,nosuid shared:9 master:3 - cgroup2 cgroup2 "
             "rw,nsdelegate,memory_recursiveprot\n");
  }
  void version1(const std::string& root = "/") {
    file("proc/self/mountinfo",
         "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
         "32 31 0:29 " +
             root +
             " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
             "35 31 0:32 " +
             root +
             " /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
             "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
  }
  void group2(const std::string& path, const std::string& max, std::uint64_t current,
              std::uint64_t file_cache, const std::string& high = "max") {
    const std::string folder = "sys/fs/cgroup" + path + "/";
    file(folder + "memory.max", max + "\n");
    file(folder + "memory.high", high + "\n");
    file(folder + "memory.current", std::to_string(current) + "\n");
    file(folder + "memory.stat", "anon 1000\nfile " + std::to_string(file_cache) +
                                     "\nkernel_stack 0\ninactive_file " +
                                     std::to_string(file_cache / 2) + "\nactive_file " +
                                     std::to_string(file_cache / 2) + "\nslab_reclaimable 0\n");
  }
  void group1(const std::string& path, std::uint64_t limit, std::uint64_t usage,
              std::uint64_t file_cache) {
    const std::string folder = "sys/fs/cgroup/memory" + path + "/";
    file(folder + "memory.limit_in_bytes", std::to_string(limit) + "\n");
    file(folder + "memory.usage_in_bytes", std::to_string(usage) + "\n");
    file(folder + "memory.stat",
         "cache 5\nrss 7\ninactive_file 1\nactive_file 1\nhierarchical_memory_limit "
         "9223372036854771712\ntotal_cache 5\ntotal_inactive_file " +
             std::to_string(file_cache) + "\ntotal_active_file 0\n");
  }
  MemoryBudget budget(std::optional<MemorySize> most = {}, ProcessLimits limits = {}) {
    return memory_budget(root_.path(), limits, most);
  }

  static constexpr std::uint64_t kNone1 = 9223372036854771712u;
  tests::TempDir root_;
};

TEST_F(Machine, WithoutGroupsItsFreeMemory) {
  memory("16000000", "8000000");
  const auto result = budget();
  EXPECT_EQ(result.all.bytes, 8'000'000ull * 1024);
  EXPECT_TRUE(result.all.shared);
  EXPECT_FALSE(result.own.has_value());
}

TEST_F(Machine, AServiceOfSystemdWithMemoryMax) {
  memory("16000000", "8000000");
  version2();
  file("proc/self/cgroup", "0::/system.slice/shoal.service\n");
  group2("/system.slice/shoal.service", "2147483648", 500 * kMiB, 400 * kMiB);
  group2("/system.slice", "max", 3 * kGiB, 0);
  const auto result = budget();
  EXPECT_EQ(result.all.bytes, 2 * kGiB - 100 * kMiB) << "page cache is not used memory";
  EXPECT_NE(result.all.from.find("/system.slice/shoal.service"), std::string::npos);
  EXPECT_FALSE(result.all.shared);
}

TEST_F(Machine, TheLeastOfAllGroupsAboveCounts) {
  memory("16000000", "8000000");
  version2();
  file("proc/self/cgroup", "0::/user.slice/user-1000.slice/session.scope\n");
  group2("/user.slice/user-1000.slice/session.scope", "max", 100 * kMiB, 0);
  group2("/user.slice/user-1000.slice", "4294967296", 3 * kGiB, kGiB);  // shared with others
  group2("/user.slice", "8589934592", 3 * kGiB, 0);
  const auto result = budget();
  EXPECT_EQ(result.all.bytes, 2 * kGiB);
  EXPECT_NE(result.all.from.find("user-1000.slice"), std::string::npos) << result.all.from;
}

TEST_F(Machine, MemoryHighCountsToo) {
  memory("16000000", "8000000");
  version2();
  file("proc/self/cgroup", "0::/a\n");
  group2("/a", "4294967296", 0, 0, "1073741824");
  EXPECT_EQ(budget().all.bytes, kGiB);
  EXPECT_NE(budget().all.from.find("memory.high"), std::string::npos);
}

TEST_F(Machine, AContainerWithItsOwnNamespace) {
  memory("16000000", "8000000");
  version2();
  file("proc/self/cgroup", "0::/\n");
  group2("", "1073741824", 100 * kMiB, 50 * kMiB);
  EXPECT_EQ(budget().all.bytes, kGiB - 50 * kMiB);
  EXPECT_NE(budget().all.from.find("this container"), std::string::npos) << budget().all.from;
}

TEST_F(Machine, AContainerThatSeesTheHostsGroupsButNotTheirFolders) {
  memory("16000000", "8000000");
  version2("/system.slice/docker-abc.scope");
  file("proc/self/cgroup", "0::/system.slice/docker-abc.scope\n");
  group2("", "1073741824", 0, 0);
  EXPECT_EQ(budget().all.bytes, kGiB);
  // And a group of another namespace: the mount point is all there is.
  version2();
  file("proc/self/cgroup", "0::/../../other/scope\n");
  EXPECT_EQ(budget().all.bytes, kGiB);
}

TEST_F(Machine, DockerOfVersion1) {
  memory("16000000", "8000000");
  version1("/docker/abc");
  file("proc/self/cgroup",
       "12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n");
  group1("", 512 * kMiB, 200 * kMiB, 150 * kMiB);
  EXPECT_EQ(budget().all.bytes, 462 * kMiB);
}

TEST_F(Machine, NestedGroupsOfVersion1) {
  memory("16000000", "8000000");
  version1();
  file("proc/self/cgroup", "4:memory:/lxc/web/init.scope\n0::/\n");
  group1("/lxc/web/init.scope", kNone1, 10 * kMiB, 0);
  group1("/lxc/web", 2 * kGiB, kGiB, 0);
  group1("/lxc", kNone1, 8 * kGiB, 0);
  group1("", kNone1, 9 * kGiB, 0);
  EXPECT_EQ(budget().all.bytes, kGiB);
  // A group without hierarchy is not bound by those above it.
  file("sys/fs/cgroup/memory/lxc/web/init.scope/memory.use_hierarchy", "0\n");
  EXPECT_EQ(budget().all.bytes, 8'000'000ull * 1024);
}

TEST_F(Machine, ALimitAboveThatANamespaceHides) {
  memory("16000000", "8000000");
  version1();
  file("proc/self/cgroup", "4:memory:/\n");
  group1("", kNone1, 100 * kMiB, 0);
  file("sys/fs/cgroup/memory/memory.stat",
       "hierarchical_memory_limit 1073741824\ntotal_inactive_file 0\n");
  EXPECT_EQ(budget().all.bytes, kGiB - 100 * kMiB);
}

TEST_F(Machine, BothVersionsAtOnce) {
  memory("16000000", "8000000");
  version1();
  file("proc/self/cgroup", "4:memory:/system.slice/a.service\n0::/system.slice/a.service\n");
  group1("/system.slice/a.service", kGiB, 0, 0);
  std::filesystem::create_directories(root_.file("sys/fs/cgroup/unified/system.slice/a.service"));
  EXPECT_EQ(budget().all.bytes, kGiB);
}

TEST_F(Machine, NamesWithBlanksAndColons) {
  memory("16000000", "8000000");
  file("proc/self/mountinfo", "31 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
  file("proc/self/cgroup", "0::/a:b c\n");
  file("my groups/a:b c/memory.max", "1048576\n");
  EXPECT_EQ(budget().all.bytes, kMiB);
}

TEST_F(Machine, FilesThatAreNonsenseAreNoLimit) {
  memory("16000000", "8000000");
  version2();
  file("proc/self/cgroup", "garbage\n0::\n:::\n0::/a\n");
  file("sys/fs/cgroup/a/memory.max", "lots\n");
  file("sys/fs/cgroup/a/memory.stat", "x\ny z\n");
  EXPECT_EQ(budget().all.bytes, 8'000'000ull * 1024);
  file("proc/self/mountinfo", "31 23 -\n- - - - - - - - -\n\n");
  EXPECT_EQ(budget().all.bytes, 8'000'000ull * 1024);
}

TEST_F(Machine, WhatTheUserAllowsCountsInAll) {
  memory("16000000", "8000000");
  file("proc/self/status", "Name:\tshoal-node\nVmSize:\t  500000 kB\nRssAnon:\t   40960 kB\n");
  EXPECT_EQ(budget(*parse_memory_size("2GiB")).all.bytes, 2 * kGiB - 40 * kMiB);
  EXPECT_EQ(budget(*parse_memory_size("2GiB")).all.from, "--memory");
  EXPECT_EQ(budget(*parse_memory_size("25%")).all.bytes, 4'000'000ull * 1024 - 40 * kMiB);
  EXPECT_EQ(budget(*parse_memory_size("64GiB")).all.bytes, 8'000'000ull * 1024);
  // Percent of what a container has, not of its host.
  version2();
  file("proc/self/cgroup", "0::/\n");
  group2("", "1073741824", 0, 0);
  EXPECT_EQ(budget(*parse_memory_size("50%")).all.bytes, kGiB / 2 - 40 * kMiB);
}

TEST_F(Machine, UlimitsBindAllButMappedFiles) {
  memory("16000000", "8000000");
  file("proc/self/status", "VmSize:\t  524288 kB\nVmData:\t 102400 kB\n");
  auto result = budget({}, {.address_space_bytes = kGiB, .data_bytes = {}});
  ASSERT_TRUE(result.own.has_value());
  EXPECT_EQ(result.own->bytes, 512 * kMiB);
  EXPECT_EQ(result.own->from, "ulimit -v");
  result = budget({}, {.address_space_bytes = kGiB, .data_bytes = 200 * kMiB});
  EXPECT_EQ(result.own->bytes, 100 * kMiB);
  EXPECT_EQ(result.own->from, "ulimit -d");
}

TEST(ThisMachine, HasMemory) {
  const MemoryBudget budget = memory_budget("/", process_limits(), {});
  EXPECT_GT(budget.all.bytes, 16 * kMiB);
  EXPECT_LT(budget.all.bytes, std::uint64_t{1} << 50);
}

}  // namespace
}  // namespace shoal::base
