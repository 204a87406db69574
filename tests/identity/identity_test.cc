// SPDX-License-Identifier: Apache-2.0
#include "identity/identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <thread>

#include "tests/support/temp_dir.h"

namespace shoal::identity {
namespace {

TEST(IdentityTest, PeerIdIsTheHashOfThePublicKeyOfRfc8032) {
  // RFC 8032, 7.1, test 1.
  const auto seed =
      proto::unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  std::array<std::uint8_t, 32> bytes;
  std::copy(seed->begin(), seed->end(), bytes.begin());
  const Identity identity = Identity::from_seed(bytes);
  EXPECT_EQ(proto::to_string(identity.public_key()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(identity.sign("", "").bytes[0], 0xe5);
  EXPECT_EQ(identity.peer_id(), peer_id_of(identity.public_key()));
  EXPECT_EQ(std::vector<std::uint8_t>(identity.seed().begin(), identity.seed().end()),
            std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
}

TEST(IdentityTest, SignatureCoversDomainMessageAndKey) {
  const Identity alice = Identity::generate(), bob = Identity::generate();
  EXPECT_NE(alice.peer_id(), bob.peer_id());
  Signature signature = alice.sign("domain", "message");
  EXPECT_TRUE(verify(alice.public_key(), "domain", "message", signature));
  EXPECT_FALSE(verify(alice.public_key(), "other", "message", signature));
  EXPECT_FALSE(verify(alice.public_key(), "domain", "massage", signature));
  EXPECT_FALSE(verify(bob.public_key(), "domain", "message", signature));
  signature.bytes[10] ^= 1;
  EXPECT_FALSE(verify(alice.public_key(), "domain", "message", signature));
}

TEST(IdentityTest, IsMadeOnceAndThenKept) {
  const tests::TempDir folder;
  const auto made = Identity::load_or_create(folder.file("id"));
  ASSERT_TRUE(made.ok()) << made.status();
  struct stat info {};
  ASSERT_EQ(::stat(folder.file("id").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(tests::read_file(folder.file("id")), proto::hex(made->seed()) + "\n");
  const auto again = Identity::load_or_create(folder.file("id"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->peer_id(), made->peer_id());
}

TEST(IdentityTest, RefusesAFileThatOthersCanReadAndSaysWhatToDo) {
  const tests::TempDir folder;
  ASSERT_TRUE(Identity::load_or_create(folder.file("id")).ok());
  for (const mode_t mode : {0640, 0604, 0620, 0601}) {
    ASSERT_EQ(::chmod(folder.file("id").c_str(), mode), 0);
    const auto refused = Identity::load_or_create(folder.file("id"));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_NE(std::string(refused.status().message()).find("chmod 600 " + folder.file("id")),
              std::string::npos);
  }
}

TEST(IdentityTest, RefusesWhatIsNotAnIdentityAndLeavesItAlone) {
  const tests::TempDir folder;
  for (const std::string& text : {std::string("hello"), std::string(63, 'a'), std::string(64, 'g'),
                                  std::string(), std::string(66, 'a'), std::string(10000, 'a')}) {
    tests::write_file(folder.file("id"), text);
    ASSERT_EQ(::chmod(folder.file("id").c_str(), 0600), 0);
    const auto refused = Identity::load_or_create(folder.file("id"));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(std::string(refused.status().message()).find(folder.file("id")), std::string::npos);
    EXPECT_EQ(tests::read_file(folder.file("id")), text);
  }
  EXPECT_FALSE(Identity::load_or_create(folder.path()).ok());
  EXPECT_FALSE(Identity::load_or_create(folder.file("absent/id")).ok());
  ASSERT_EQ(::mkfifo(folder.file("fifo").c_str(), 0600), 0);
  EXPECT_FALSE(Identity::load_or_create(folder.file("fifo")).ok());  // and does not hang
}

TEST(IdentityTest, ManyProcessesAtOnceShareOneIdentity) {
  const tests::TempDir folder;
  std::vector<proto::PeerId> ids(8);
  std::vector<std::thread> threads;
  for (auto& id : ids) {
    threads.emplace_back([&] {
      const auto identity = Identity::load_or_create(folder.file("id"));
      if (identity.ok()) id = identity->peer_id();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<proto::PeerId>(ids.begin(), ids.end()).size(), 1u);
  EXPECT_NE(ids[0], proto::PeerId{});
  const std::filesystem::directory_iterator files(folder.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);  // no temporary file stays
}

}  // namespace
}  // namespace shoal::identity
