// SPDX-License-Identifier: Apache-2.0
// The table between two runs, on real sockets.
#include <gmock/gmock.h>

#include <filesystem>

#include "dht/table_file.h"
#include "tests/dht/loopback_swarm.h"
#include "tests/support/own_process.h"
#include "tests/support/temp_dir.h"

namespace shoal::dht {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::uint64_t now_s() { return static_cast<std::uint64_t>(std::time(nullptr)); }

struct UdpTableTest : testing::Test {
  UdpServiceOptions options() {
    UdpServiceOptions result{kLoopback, false, {}};
    result.table_file = path;
    result.warn = [this](const std::string& text) { warnings.push_back(text); };
    return result;
  }
  std::vector<SavedContact> saved() {
    const auto contacts = read_table_file(path, identity::SwarmId{}, now_s());
    return contacts.ok() ? *contacts : std::vector<SavedContact>();
  }
  // A swarm of three, one of which saves its table.
  LoopbackSwarm::Member& join(LoopbackSwarm& swarm) {
    auto& bootstrap = swarm.add();
    auto& other = swarm.add();
    EXPECT_TRUE(swarm.bootstrap(other, {bootstrap.endpoint}).ok());
    auto& member = swarm.add(options(), identity);
    EXPECT_TRUE(swarm.bootstrap(member, {bootstrap.endpoint}).ok());
    EXPECT_TRUE(eventually([&] { return swarm.stats(member).verified_contacts == 2; }));
    return member;
  }
  tests::TempDir folder;
  const std::string path = folder.file("node.table");
  const identity::Identity identity = identity::Identity::generate();
  std::vector<std::string> warnings;
};

TEST_F(UdpTableTest, APeerFindsItsSwarmAgainWhenTheBootstrapIsGone) {
  LoopbackSwarm swarm;
  auto& member = join(swarm);
  ASSERT_GE(swarm.publish(*swarm.members()[1], example_record(1)), 1);
  swarm.stop(member);
  const auto written = read_table_file(path, identity::SwarmId{}, now_s());
  ASSERT_TRUE(written.ok()) << written.status();
  ASSERT_EQ(written->size(), 2u);
  for (const SavedContact& contact : *written) EXPECT_NEAR(contact.seen_s, now_s(), 5);
  swarm.stop(*swarm.members()[0]);

  auto& again = swarm.add(options(), identity);
  // Unasked it checks what it knew; asked, it joins by it, whatever address it was given.
  EXPECT_TRUE(eventually([&] { return swarm.stats(again).verified_contacts == 1; }));
  EXPECT_TRUE(swarm.bootstrap(again, {swarm.members()[0]->endpoint}).ok());
  EXPECT_EQ(swarm.find(again, models_key(identity::SwarmId{})).size(), 1u);
  EXPECT_TRUE(warnings.empty()) << warnings[0];
}

TEST_F(UdpTableTest, JoiningNeedsNoAddressWhenTheTableHasOne) {
  LoopbackSwarm swarm;
  swarm.stop(join(swarm));
  auto& again = swarm.add(options(), identity);
  EXPECT_TRUE(swarm.bootstrap(again, {}).ok());
  EXPECT_EQ(swarm.stats(again).verified_contacts, 2u);
}

TEST_F(UdpTableTest, ATableThatIsHeldIsAskedWhenItIsRecalled) {
  LoopbackSwarm swarm;
  swarm.stop(join(swarm));
  auto& another = swarm.add();
  UdpServiceOptions held = options();
  held.hold_table = true;
  auto& lost = swarm.add(held, identity);
  // As long as nobody recalls it, the swarm that was named is the only one.
  EXPECT_FALSE(swarm.bootstrap(lost, {proto::Endpoint::v4({127, 0, 0, 1}, 1)}, 600).ok());
  EXPECT_EQ(swarm.stats(lost).contacts, 0u);
  EXPECT_EQ(swarm.on_io([&] { return lost.service->recall(); }), 2u);
  EXPECT_FALSE(swarm.on_io([&] { return lost.service->holds_table(); }));
  EXPECT_TRUE(swarm.bootstrap(lost, {proto::Endpoint::v4({127, 0, 0, 1}, 1)}).ok());
  EXPECT_FALSE(swarm.on_io([&] { return lost.service->is_answered_at_joined(); }));
  EXPECT_EQ(swarm.stats(lost).verified_contacts, 2u);
  swarm.stop(lost);
  ASSERT_EQ(saved().size(), 2u);

  auto& moved = swarm.add(held, identity);
  ASSERT_TRUE(swarm.bootstrap(moved, {another.endpoint}).ok());
  EXPECT_TRUE(swarm.on_io([&] { return moved.service->is_answered_at_joined(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(swarm.stats(moved).contacts, 1u);
  EXPECT_EQ(swarm.stats(another).contacts, 1u);
}

TEST_F(UdpTableTest, ADamagedFileIsOneWarningAndAnEmptyTable) {
  LoopbackSwarm swarm;
  auto& bootstrap = swarm.add();
  for (const std::string& contents : {std::string(), std::string("nonsense"),
                                      encode_table({}).substr(1), std::string(1 << 20, 'x')}) {
    warnings.clear();
    tests::write_file(path, contents);
    auto& member = swarm.add(options(), identity);
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("damaged")));
    EXPECT_EQ(swarm.stats(member).contacts, 0u);
    EXPECT_TRUE(swarm.bootstrap(member, {bootstrap.endpoint}).ok());
    swarm.stop(member);
    EXPECT_EQ(saved().size(), 1u);  // whole again
  }
}

TEST_F(UdpTableTest, AnotherSwarmsFileIsOneWarning) {
  SavedTable other;
  other.swarm.bytes[0] = 1;
  tests::write_file(path, encode_table(other));
  LoopbackSwarm swarm;
  swarm.stop(swarm.add(options(), identity));
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("another swarm")));
}

TEST_F(UdpTableTest, AFolderThatIsMissingIsOneWarningToo) {
  LoopbackSwarm swarm;
  auto& bootstrap = swarm.add();
  UdpServiceOptions missing = options();
  missing.table_file = folder.file("missing/node.table");
  auto& member = swarm.add(missing, identity);
  EXPECT_TRUE(swarm.bootstrap(member, {bootstrap.endpoint}).ok());
  swarm.stop(member);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("missing/node.table")));
}

TEST_F(UdpTableTest, APeerThatLostEverybodyDoesNotForgetThem) {
  LoopbackSwarm swarm;
  swarm.stop(join(swarm));
  for (auto& member : swarm.members()) swarm.stop(*member);
  const std::string before = tests::read_file(path);
  auto& again = swarm.add(options(), identity);
  EXPECT_TRUE(eventually([&] { return swarm.stats(again).contacts == 0; }));  // nobody answers
  swarm.stop(again);
  EXPECT_EQ(tests::read_file(path), before);
}

TEST_F(UdpTableTest, AThousandRestartsLeaveOneGoodFile) {
  LoopbackSwarm swarm;
  swarm.stop(join(swarm));
  const std::int64_t descriptors = tests::open_descriptors();
  for (int i = 0; i < 1000; ++i) {
    auto& member = swarm.add(options(), identity);
    if (i % 100 == 0) {
      ASSERT_TRUE(swarm.bootstrap(member, {}).ok()) << i;
    }
    swarm.stop(member);
    swarm.members().pop_back();
  }
  EXPECT_EQ(saved().size(), 2u);
  EXPECT_EQ(tests::open_descriptors(), descriptors);
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    files += entry.path().empty() ? 0 : 1;
  EXPECT_EQ(files, 1u);
}

}  // namespace
}  // namespace shoal::dht
