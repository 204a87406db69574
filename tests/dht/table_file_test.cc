// SPDX-License-Identifier: Apache-2.0
#include "dht/table_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "identity/random.h"
#include "tests/support/temp_dir.h"

namespace shoal::dht {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kNowS = 1'900'000'000;
const identity::SwarmId kOurs{{1}}, kOther{{2}};

SavedTable example(std::size_t count, std::uint64_t seen_s = kNowS) {
  identity::Random random(count);
  SavedTable table{kOurs, {}};
  for (std::size_t i = 0; i < count; ++i) {
    SavedContact saved;
    saved.contact.key.bytes = random.bytes<32>();
    saved.contact.peer = identity::peer_id_of(saved.contact.key);
    saved.contact.endpoint =
        i % 2 == 0 ? proto::Endpoint::v4({203, 0, 113, static_cast<std::uint8_t>(i)}, 7000)
                   : *proto::parse_endpoint("[2a02::7]:65535");
    saved.seen_s = seen_s;
    table.contacts.push_back(saved);
  }
  return table;
}

struct TableFileTest : testing::Test {
  tests::TempDir folder;
  const std::string path = folder.file("node.table");
  absl::StatusOr<std::vector<SavedContact>> read(std::uint64_t now_s = kNowS) {
    return read_table_file(path, kOurs, now_s);
  }
};

TEST_F(TableFileTest, WhatIsWrittenIsRead) {
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, kMaxTableContacts}) {
    ASSERT_TRUE(write_table_file(path, example(count)).ok());
    const auto contacts = read();
    ASSERT_TRUE(contacts.ok()) << contacts.status();
    EXPECT_EQ(*contacts, example(count).contacts);
  }
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_NE(::stat((path + ".tmp").c_str(), &info), 0);
}

TEST_F(TableFileTest, OnlyReachableContactsWithAKeyAreWrittenAndAtMost1024) {
  SavedTable table = example(3);
  table.contacts[0].contact.key = {};
  table.contacts[1].contact.endpoint.port = 0;
  ASSERT_TRUE(write_table_file(path, table).ok());
  EXPECT_EQ(read()->size(), 1u);
  ASSERT_TRUE(write_table_file(path, example(kMaxTableContacts + 1)).ok());
  EXPECT_EQ(read()->size(), kMaxTableContacts);
}

TEST_F(TableFileTest, OldContactsAreLeftOut) {
  SavedTable table = example(2);
  table.contacts[0].seen_s = kNowS - kMaxTableAgeS - 1;
  table.contacts[1].seen_s = kNowS - kMaxTableAgeS;
  ASSERT_TRUE(write_table_file(path, table).ok());
  ASSERT_EQ(read()->size(), 1u);
  EXPECT_EQ(read()->front().contact, table.contacts[1].contact);
}

TEST_F(TableFileTest, NothingIsFromTheFuture) {
  ASSERT_TRUE(write_table_file(path, example(1, kNowS + 1'000'000)).ok());
  EXPECT_EQ(read()->front().seen_s, kNowS);
}

TEST_F(TableFileTest, AMissingFileIsNoDamage) { EXPECT_TRUE(absl::IsNotFound(read().status())); }

TEST_F(TableFileTest, AnotherSwarmsFileIsNotUsed) {
  SavedTable table = example(1);
  table.swarm = kOther;
  ASSERT_TRUE(write_table_file(path, table).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(read().status()));
}

TEST_F(TableFileTest, EveryDamageIsSeenAndNamesTheFile) {
  const std::string good = encode_table(example(3));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_table_file(good.substr(0, size)).ok()) << size;
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    EXPECT_FALSE(parse_table_file(bad).ok()) << at;
  }
  EXPECT_FALSE(parse_table_file(good + "x").ok());
  tests::write_file(path, good.substr(0, 100));
  const absl::Status status = read().status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_THAT(std::string(status.message()), HasSubstr("damaged"));
}

TEST_F(TableFileTest, ARightChecksumOverNonsenseIsNotEnough) {
  const std::string good = encode_table(example(1));
  std::string count = good;
  count[16 + 32] = 0x7f;  // two billion contacts
  EXPECT_FALSE(parse_table_file(with_checksum(count)).ok());
  std::string port = good;
  port[16 + 32 + 4 + 32 + 16] = 0;
  port[16 + 32 + 4 + 32 + 17] = 0;
  EXPECT_FALSE(parse_table_file(with_checksum(port)).ok());
  std::string key = good;
  std::fill_n(key.begin() + 16 + 32 + 4, 32, '\0');
  EXPECT_FALSE(parse_table_file(with_checksum(key)).ok());
  std::string huge;
  huge.resize(10'000'000, 'x');
  EXPECT_FALSE(parse_table_file(huge).ok());
}

TEST_F(TableFileTest, FoldersAndForeignFilesAreRefused) {
  EXPECT_FALSE(read_table_file(folder.path(), kOurs, kNowS).ok());
  EXPECT_FALSE(write_table_file(folder.file("missing/node.table"), example(1)).ok());
  EXPECT_FALSE(write_table_file(folder.path(), example(1)).ok());
}

}  // namespace
}  // namespace shoal::dht
