// SPDX-License-Identifier: Apache-2.0
#include "dht/find_results.h"

#include <gtest/gtest.h>

#include "tests/dht/example_record.h"

namespace shoal::dht {
namespace {

const TimePoint kStart{seconds(70)};
const Key kKey = model_key({}, example_model());

Contact teller(std::uint8_t number) {
  Contact contact;
  contact.peer.bytes[0] = number;
  contact.endpoint = proto::Endpoint::v4({10, 0, 0, number}, 1);
  return contact;
}

struct FindResultsTest : testing::Test {
  wire::Found say(std::initializer_list<wire::SignedRecord> records,
                  std::uint32_t remaining_ttl_ms = 100'000) {
    wire::Found found;
    for (const wire::SignedRecord& record : records) {
      auto& stored = *found.add_records();
      *stored.mutable_record() = record;
      stored.set_remaining_ttl_ms(remaining_ttl_ms);
    }
    return found;
  }
  wire::SignedRecord online(const identity::Identity& owner, std::uint64_t sequence) {
    return sign_record(owner, example_record(sequence));
  }
  wire::SignedRecord withdrawn(const identity::Identity& owner, std::uint64_t sequence) {
    Record record = example_record(sequence);
    record.load.state = proto::NodeState::kOffline;
    return sign_record(owner, record);
  }

  const identity::Identity a = identity::Identity::generate(), b = identity::Identity::generate();
  FindResults results{identity::SwarmId{}, kKey, 100};
};

TEST_F(FindResultsTest, IsTheUnionByHighestSequence) {
  EXPECT_EQ(results.add(teller(1), say({online(a, 1)}), kStart).records, 1u);
  EXPECT_EQ(results.add(teller(2), say({online(a, 2), online(b, 5)}), kStart).records, 2u);
  EXPECT_EQ(results.add(teller(3), say({online(a, 1)}), kStart).records, 0u) << "outdated";
  const std::vector<Record> records = results.take();
  ASSERT_EQ(records.size(), 2u);
  for (const Record& record : records)
    EXPECT_EQ(record.sequence, record.peer_id() == a.peer_id() ? 2u : 5u);
  EXPECT_TRUE(results.empty());
}

TEST_F(FindResultsTest, CountsWhatAPeerHadNotShownBefore) {
  EXPECT_EQ(results.add(teller(1), say({online(a, 1)}), kStart).fresh, 1u);
  EXPECT_EQ(results.add(teller(1), say({online(a, 1)}), kStart).fresh, 0u);
  EXPECT_EQ(results.add(teller(1), say({online(a, 1), online(b, 1)}), kStart).fresh, 1u);
  EXPECT_EQ(results.add(teller(2), say({online(a, 1)}), kStart).fresh, 1u);
  EXPECT_EQ(results.total_of(teller(2).peer), 1u);
}

TEST_F(FindResultsTest, AWithdrawalHidesWhatCameBeforeAndIsNoRecordForUsers) {
  results.add(teller(1), say({online(a, 1)}), kStart);
  EXPECT_TRUE(results.any_live());
  EXPECT_EQ(results.add(teller(2), say({withdrawn(a, 2)}), kStart).records, 1u);
  EXPECT_FALSE(results.any_live());
  EXPECT_FALSE(results.empty());
  EXPECT_TRUE(results.take().empty());
}

TEST_F(FindResultsTest, ForgedForeignAndExpiredRecordsCountForNothing) {
  wire::SignedRecord forged = online(a, 3);
  forged.mutable_signature()->back() ^= 1;
  Record other = example_record(1);
  other.offer.model_digest.bytes.fill(9);
  const auto page = results.add(teller(1), say({forged, sign_record(a, other)}), kStart);
  EXPECT_EQ(page.records, 0u);
  EXPECT_EQ(page.invalid, 2u);
  EXPECT_EQ(results.add(teller(2), say({online(a, 1)}, 0), kStart).records, 0u);
  EXPECT_TRUE(results.empty());
  // Nor does a forged copy of what is known.
  results.add(teller(3), say({online(a, 3)}), kStart);
  EXPECT_EQ(results.add(teller(4), say({forged}), kStart).invalid, 1u);
}

TEST_F(FindResultsTest, ANewerRecordOfAnotherSpanVoidsAnOlder) {
  FindResults block({}, block_key({}, example_model(), 3), 100);
  EXPECT_EQ(block.add(teller(1), say({online(a, 1)}), kStart).records, 1u);
  Record moved = example_record(2, {0, 2});
  EXPECT_EQ(block.add(teller(2), say({sign_record(a, moved)}), kStart).records, 0u);
  EXPECT_TRUE(block.take().empty());
}

TEST_F(FindResultsTest, TellsWhoLacksWhat) {
  results.add(teller(1), say({online(a, 2), online(b, 1)}), kStart);
  results.add(teller(2), say({online(a, 1), online(b, 1)}), kStart);  // an old one
  results.add(teller(3), say({}), kStart);
  wire::Found page = say({online(a, 2)});
  page.set_total_records(2);
  results.add(teller(4), page, kStart);  // it may yet show the other
  const std::vector<Contact> all = {teller(9), teller(4), teller(3), teller(2), teller(1)};
  const auto lacks = results.lacks(all, 10, kStart);
  ASSERT_EQ(lacks.size(), 2u);
  EXPECT_EQ(lacks[0].peer, teller(3));
  EXPECT_EQ(lacks[1].peer, teller(2));
  EXPECT_EQ(verify_record(lacks[1].record)->sequence, 2u);
  EXPECT_EQ(results.lacks(all, 1, kStart).size(), 1u);
}

TEST_F(FindResultsTest, DisagreementIsALackOrATotalThatIsTooSmall) {
  EXPECT_FALSE(results.disagree({teller(1)}, kStart));
  results.add(teller(1), say({online(a, 2), online(b, 1)}), kStart);
  EXPECT_FALSE(results.disagree({teller(1)}, kStart));
  wire::Found page = say({online(a, 2)});
  page.set_total_records(2);
  results.add(teller(2), page, kStart);
  EXPECT_FALSE(results.disagree({teller(1), teller(2)}, kStart));
  results.add(teller(2), say({online(identity::Identity::generate(), 1)}), kStart);
  EXPECT_TRUE(results.disagree({teller(1)}, kStart));  // who has two of three
  results.add(teller(3), say({}), kStart);
  EXPECT_TRUE(results.disagree({teller(3)}, kStart));
}

TEST_F(FindResultsTest, ARepairGrantsNoMoreThanTheLeastThatWasLeft) {
  results.add(teller(1), say({online(a, 2)}, 90'000), kStart);
  results.add(teller(2), say({online(a, 2)}, 30'000), kStart);
  results.add(teller(3), say({}), kStart);
  const auto later = kStart + seconds(10);
  const auto lacks = results.lacks({teller(3)}, 9, later);
  ASSERT_EQ(lacks.size(), 1u);
  EXPECT_EQ(lacks[0].remaining_ttl_ms, 20'000u);
  EXPECT_TRUE(results.lacks({teller(3)}, 9, kStart + seconds(31)).empty());
  EXPECT_EQ(results.ages_s(kStart), std::vector<double>{150.0});
}

TEST_F(FindResultsTest, OwnRecordsAreInIt) {
  results.add_own(online(a, 4), 50'000, kStart);
  EXPECT_FALSE(results.empty());
  results.add(teller(1), say({}), kStart);
  EXPECT_EQ(results.lacks({teller(1)}, 9, kStart).size(), 1u);
  EXPECT_EQ(results.take().size(), 1u);
}

TEST_F(FindResultsTest, IsBounded) {
  FindResults few({}, kKey, 3);
  for (int i = 0; i < 10; ++i)
    few.add(teller(1), say({online(identity::Identity::generate(), 1)}), kStart);
  EXPECT_EQ(few.size(), 3u);
  EXPECT_TRUE(few.full());
}

}  // namespace
}  // namespace shoal::dht
