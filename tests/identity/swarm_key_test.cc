// SPDX-License-Identifier: Apache-2.0
#include "identity/swarm_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace shoal::identity {
namespace {

TEST(SwarmKeyTest, WrittenKeyIsReadBack) {
  const tests::TempDir folder;
  const SwarmKey key = generate_swarm_key();
  ASSERT_TRUE(write_swarm_key(folder.file("key"), key).ok());
  struct stat info {};
  ASSERT_EQ(::stat(folder.file("key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto read = read_swarm_key(folder.file("key"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, key);
  EXPECT_EQ(tests::read_file(folder.file("key")), "shoal-swarm-1 " + proto::to_string(key) + "\n");
}

TEST(SwarmKeyTest, NeverOverwrites) {
  const tests::TempDir folder;
  const SwarmKey key = generate_swarm_key();
  ASSERT_TRUE(write_swarm_key(folder.file("key"), key).ok());
  const absl::Status again = write_swarm_key(folder.file("key"), generate_swarm_key());
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(std::string(again.message()).find(folder.file("key")), std::string::npos);
  EXPECT_EQ(*read_swarm_key(folder.file("key")), key);
  EXPECT_EQ(write_swarm_key(folder.file("absent/key"), key).code(), absl::StatusCode::kNotFound);
}

TEST(SwarmKeyTest, RefusesOtherFilesWithTheWayOut) {
  const tests::TempDir folder;
  EXPECT_EQ(read_swarm_key(folder.file("key")).status().code(), absl::StatusCode::kNotFound);
  const std::string hex(64, 'a');
  for (const std::string& text :
       {std::string(), hex, "shoal-swarm-2 " + hex, "shoal-swarm-1 " + hex + "aa",
        "shoal-swarm-1 " + hex.substr(2), "shoal-swarm-1 x" + hex.substr(1)}) {
    tests::write_file(folder.file("key"), text);
    ASSERT_EQ(::chmod(folder.file("key").c_str(), 0600), 0);
    const auto refused = read_swarm_key(folder.file("key"));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(std::string(refused.status().message()).find("shoal swarm new"), std::string::npos);
  }
  tests::write_file(folder.file("key"), "shoal-swarm-1 " + hex + "\n");
  EXPECT_TRUE(read_swarm_key(folder.file("key")).ok());
  ASSERT_EQ(::chmod(folder.file("key").c_str(), 0644), 0);
  const auto open = read_swarm_key(folder.file("key"));
  EXPECT_EQ(open.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_NE(std::string(open.status().message()).find("chmod 600"), std::string::npos);
}

TEST(SwarmKeyTest, IdentifiesTheSwarmWithoutShowingTheKey) {
  const SwarmKey a = generate_swarm_key(), b = generate_swarm_key();
  EXPECT_NE(a, b);
  EXPECT_EQ(swarm_id_of(a), swarm_id_of(a));
  EXPECT_NE(swarm_id_of(a), swarm_id_of(b));
  EXPECT_NE(swarm_id_of(a).bytes, a.bytes);
  EXPECT_NE(swarm_id_of(a), SwarmId{});
}

}  // namespace
}  // namespace shoal::identity
