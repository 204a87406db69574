// SPDX-License-Identifier: Apache-2.0
#include "dht/swarm_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/dht/temporary_folder.h"

namespace shoal::dht {
namespace {

TEST(SwarmKeyTest, WrittenKeyIsReadBack) {
  const TemporaryFolder folder;
  const SwarmKey key = generate_swarm_key();
  ASSERT_TRUE(write_swarm_key(folder / "key", key).ok());
  struct stat info {};
  ASSERT_EQ(::stat((folder / "key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto read = read_swarm_key(folder / "key");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, key);
  std::ifstream file(folder / "key");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "shoal-swarm-1 " + proto::to_string(key));
}

TEST(SwarmKeyTest, NeverOverwrites) {
  const TemporaryFolder folder;
  const SwarmKey key = generate_swarm_key();
  ASSERT_TRUE(write_swarm_key(folder / "key", key).ok());
  const absl::Status again = write_swarm_key(folder / "key", generate_swarm_key());
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(std::string(again.message()).find(folder / "key"), std::string::npos);
  EXPECT_EQ(*read_swarm_key(folder / "key"), key);
  EXPECT_EQ(write_swarm_key(folder / "absent/key", key).code(), absl::StatusCode::kNotFound);
}

TEST(SwarmKeyTest, RefusesOtherFilesWithTheWayOut) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_swarm_key(folder / "key").status().code(), absl::StatusCode::kNotFound);
  const std::string hex(64, 'a');
  for (const std::string& text :
       {std::string(), hex, "shoal-swarm-2 " + hex, "shoal-swarm-1 " + hex + "aa",
        "shoal-swarm-1 " + hex.substr(2), "shoal-swarm-1 x" + hex.substr(1)}) {
    std::ofstream(folder / "key") << text;
    ASSERT_EQ(::chmod((folder / "key").c_str(), 0600), 0);
    const auto refused = read_swarm_key(folder / "key");
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(std::string(refused.status().message()).find("shoal swarm new"), std::string::npos);
  }
  std::ofstream(folder / "key") << "shoal-swarm-1 " + hex + "\n";
  EXPECT_TRUE(read_swarm_key(folder / "key").ok());
  ASSERT_EQ(::chmod((folder / "key").c_str(), 0644), 0);
  const auto open = read_swarm_key(folder / "key");
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
}  // namespace shoal::dht
