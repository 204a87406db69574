// SPDX-License-Identifier: Apache-2.0
// What a newcomer concludes from the records of the swarm.
#include "node/member/join.h"

#include <gtest/gtest.h>

#include "node/member/announcer.h"
#include "node/member/twin.h"

namespace shoal::node {
namespace {

dht::Record record(std::uint8_t digest, const char* name) {
  dht::Record record;
  record.public_key = identity::Identity::generate().public_key();
  record.offer.model_digest.bytes[0] = digest;
  record.offer.model_name = name;
  record.offer.span = {0, 4};
  record.sequence = digest;
  return record;
}

OwnModel own(std::uint8_t digest) {
  OwnModel model{"ours", {}, 8};
  model.digest.bytes[0] = digest;
  return model;
}

TEST(Join, TheFirstModelOfASwarmIsWelcome) { EXPECT_TRUE(check_model({}, own(1)).ok()); }

TEST(Join, OneNodeWithOurModelIsEnough) {
  const std::vector<dht::Record> served = {record(2, "other"), record(1, "ours")};
  EXPECT_TRUE(check_model(served, own(1)).ok());
}

TEST(Join, AnotherModelIsRefusedByNameAndDigestWithTheWayOut) {
  const std::vector<dht::Record> served = {record(2, "theirs")};
  const absl::Status status = check_model(served, own(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* part :
       {"theirs (02000000", "ours (01000000", "--add-model", "same model files"}) {
    EXPECT_NE(status.ToString().find(part), std::string::npos)
        << part << " in " << status.ToString();
  }
}

TEST(Join, BlocksLieInsideTheModel) {
  EXPECT_TRUE(check_blocks({0, 8}, own(1)).ok());
  EXPECT_TRUE(check_blocks({7, 8}, own(1)).ok());
  const absl::Status status = check_blocks({4, 9}, own(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.ToString().find("has 8 blocks: choose within 0:8"), std::string::npos)
      << status.ToString();
}

TEST(Join, SequencesGoOnFromWhatTheSwarmKnows) {
  const std::vector<dht::Record> served = {record(5, "a"), record(7, "a")};
  EXPECT_EQ(known_sequence(served, served[0].peer_id()), 5u);
  EXPECT_EQ(known_sequence(served, {}), 0u);
}

TEST(Announcing, SmallChangesOfLoadAreNotToldLargeOnesAre) {
  proto::Load known;
  known.free_kv_positions = 10'000;
  known.block_step_us = 1'000;
  proto::Load now = known;
  EXPECT_FALSE(load_changed(known, now, false));
  now.free_kv_positions = 9'000;
  now.queue_depth = 5;
  now.block_step_us = 1'200;
  EXPECT_FALSE(load_changed(known, now, false));
  now.free_kv_positions = 4'000;
  EXPECT_TRUE(load_changed(known, now, false));
  now = known;
  now.queue_depth = 20;
  EXPECT_TRUE(load_changed(known, now, false));
  now = known;
  now.block_step_us = 3'000;
  EXPECT_TRUE(load_changed(known, now, false));
}

TEST(Announcing, AnIdleNodeTellsThatItsPagesAreFree) {
  proto::Load known;
  known.free_kv_positions = 10'000;
  proto::Load now = known;
  EXPECT_FALSE(load_changed(known, now, true));
  now.free_kv_positions = 10'032;
  EXPECT_TRUE(load_changed(known, now, true));
  EXPECT_FALSE(load_changed(known, now, false));
}

TEST(Twin, ARecordIsOursWhenItIsNotNewerThanWhatWeAnnounced) {
  dht::Record record;
  record.sequence = 100;
  EXPECT_EQ(look_at_own_record(&record, 100), OwnRecord::kOurs);
  EXPECT_EQ(look_at_own_record(&record, 101), OwnRecord::kOurs);  // a replica that missed the last
  EXPECT_EQ(look_at_own_record(&record, 99), OwnRecord::kReplaced);
  EXPECT_EQ(look_at_own_record(nullptr, 100), OwnRecord::kMissing);
}

TEST(Twin, OnlyItsOwnErrorAsksForAnotherIdentity) {
  const absl::Status error = twin_error({}, {1, *proto::parse_endpoint("192.0.2.1:7000")});
  EXPECT_TRUE(is_twin_error(error));
  EXPECT_NE(std::string(error.message()).find("192.0.2.1:7000"), std::string::npos);
  EXPECT_NE(std::string(error.message()).find("--identity"), std::string::npos);
  EXPECT_FALSE(is_twin_error(absl::AlreadyExistsError("a port")));
  EXPECT_FALSE(is_twin_error(absl::OkStatus()));
}

}  // namespace
}  // namespace shoal::node
