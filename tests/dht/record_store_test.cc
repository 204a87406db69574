// SPDX-License-Identifier: Apache-2.0
#include "dht/record_store.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dht/random.h"
#include "tests/dht/example_record.h"

namespace shoal::dht {
namespace {

const TimePoint kNow{seconds(1000)};
const SwarmId kSwarm{};
const Key kModel = model_key(kSwarm, example_model());
constexpr std::uint32_t kTtl = proto::kMaxRecordTtlMs;

Identity numbered(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[1] = number;
  return Identity::from_seed(seed);
}
const Identity kOwner = numbered(1), kReplica = numbered(2);

wire::SignedRecord record(std::uint64_t sequence,
                          proto::NodeState state = proto::NodeState::kOnline,
                          const Identity& owner = kOwner) {
  Record fields = example_record(sequence);
  fields.state = state;
  return sign_record(owner, fields);
}

struct StoreTest : testing::Test {
  PutResult own(const wire::SignedRecord& message, TimePoint now = kNow) {
    return store.put(message, kOwner.peer_id(), std::array{kModel}, kTtl, now);
  }
  PutResult hand_over(const wire::SignedRecord& message, std::uint32_t remaining_ms = kTtl,
                      TimePoint now = kNow) {
    return store.put(message, kReplica.peer_id(), std::array{kModel}, remaining_ms, now);
  }
  std::uint64_t sequence() const {
    const auto* entry = store.get(kOwner.peer_id());
    return entry == nullptr ? 0 : entry->sequence;
  }
  RecordStore store{kSwarm, StoreConfig{}};
};

TEST_F(StoreTest, IsFoundUnderEveryKeyItProvesAndNoOther) {
  EXPECT_EQ(own(record(1)), PutResult::kStored);  // blocks [0, 4)
  for (const Key& key : keys_of(kSwarm, example_record(1)))
    EXPECT_EQ(store.find(key, kNow).size(), 1u);
  EXPECT_TRUE(store.find(block_key(kSwarm, example_model(), 4), kNow).empty());
  EXPECT_TRUE(store.find(model_key(kSwarm, example_model(2)), kNow).empty());
  EXPECT_TRUE(store.find(Key{}, kNow).empty());
  std::vector<Key> keys = store.keys(*store.get(kOwner.peer_id()));
  EXPECT_EQ(keys, keys_of(kSwarm, example_record(1)));
}

TEST_F(StoreTest, RefusesKeysThatTheRecordDoesNotProve) {
  for (const Key& key :
       {Key{}, block_key(kSwarm, example_model(), 4), model_key(kSwarm, example_model(2))}) {
    EXPECT_EQ(store.put(record(1), kOwner.peer_id(), std::array{key}, kTtl, kNow),
              PutResult::kWrongKey);
  }
  wire::SignedRecord forged = record(1);
  forged.mutable_signature()->front() ^= 1;
  EXPECT_EQ(own(forged), PutResult::kInvalid);
  EXPECT_EQ(own(wire::SignedRecord()), PutResult::kInvalid);
  EXPECT_EQ(store.size(), 0u);
}

TEST_F(StoreTest, SequenceStrictlyIncreases) {
  EXPECT_EQ(own(record(5)), PutResult::kStored);
  EXPECT_EQ(own(record(4)), PutResult::kStale);
  EXPECT_EQ(own(record(5, proto::NodeState::kDraining)),
            PutResult::kStale);  // same number, other bytes
  EXPECT_EQ(own(record(6)), PutResult::kStored);
  EXPECT_EQ(sequence(), 6u);
}

TEST_F(StoreTest, OnlyTheOwnerRefreshes) {
  own(record(1));
  const TimePoint later = kNow + seconds(100);
  EXPECT_EQ(hand_over(record(1), kTtl, later), PutResult::kUnchanged);
  EXPECT_EQ(store.next_expiry(), kNow + milliseconds(kTtl));
  EXPECT_EQ(own(record(1), later), PutResult::kRefreshed);
  EXPECT_EQ(store.next_expiry(), later + milliseconds(kTtl));
}

TEST_F(StoreTest, HandedOverTimeNeverGrows) {
  EXPECT_EQ(hand_over(record(1), 5'000), PutResult::kStored);
  EXPECT_EQ(store.get(kOwner.peer_id())->remaining_ttl_ms(kNow), 5'000u);
  EXPECT_EQ(hand_over(record(1), 90'000), PutResult::kUnchanged);
  EXPECT_EQ(store.get(kOwner.peer_id())->remaining_ttl_ms(kNow), 5'000u);
  EXPECT_EQ(hand_over(record(2), 999'999'999), PutResult::kStored);
  EXPECT_EQ(store.get(kOwner.peer_id())->remaining_ttl_ms(kNow),
            kTtl);  // what the owner signed, at most
  EXPECT_EQ(hand_over(record(3), 0), PutResult::kStale);
}

TEST_F(StoreTest, ExpiredSequencesComeBackThroughTheirOwnerOnly) {
  own(record(3));
  const TimePoint later = kNow + milliseconds(kTtl);
  EXPECT_TRUE(store.find(kModel, later).empty());  // even before expire() ran
  store.expire(later);
  EXPECT_EQ(store.size(), 0u);
  EXPECT_EQ(store.index_size(), 0u);
  EXPECT_EQ(hand_over(record(3), kTtl, later), PutResult::kStale);
  EXPECT_EQ(hand_over(record(2), kTtl, later), PutResult::kStale);
  EXPECT_EQ(own(record(2), later), PutResult::kStale);
  EXPECT_EQ(own(record(3), later), PutResult::kStored);
}

TEST_F(StoreTest, WithdrawalIsKeptAsATombstoneForTheFullTime) {
  own(record(1));
  Record fields = example_record(2);
  fields.state = proto::NodeState::kOffline;
  fields.span = {0, 0};
  fields.ttl_ms = 1;  // a short one must not let older replicas win
  EXPECT_EQ(own(sign_record(kOwner, fields)), PutResult::kStored);
  const TimePoint later = kNow + seconds(179);
  store.expire(later);
  EXPECT_EQ(hand_over(record(1), kTtl, later), PutResult::kStale);
  // It is told to whoever asks for any of the model's keys, so that it wins over older replicas
  // there.
  EXPECT_EQ(store.find(block_key(kSwarm, example_model(), 3), later).size(), 1u);
  EXPECT_TRUE(store.find(kModel, later).front()->withdrawn);
}

TEST_F(StoreTest, ANewSpanReplacesTheOld) {
  own(record(1));
  EXPECT_EQ(own(sign_record(kOwner, example_record(2, {4, 8}))), PutResult::kStored);
  EXPECT_TRUE(store.find(block_key(kSwarm, example_model(), 0), kNow).empty());
  EXPECT_EQ(store.find(block_key(kSwarm, example_model(), 7), kNow).size(), 1u);
  const wire::SignedRecord other_model = sign_record(kOwner, example_record(3, {0, 1}, 2));
  EXPECT_EQ(store.put(other_model, kOwner.peer_id(), std::array{models_key(kSwarm)}, kTtl, kNow),
            PutResult::kStored);
  EXPECT_TRUE(store.find(kModel, kNow).empty());
  EXPECT_EQ(store.index_size(), 2u);  // the model's key and one block
}

TEST(RecordStoreBoundsTest, FullStoresRefuseNewSubjectsAndServeTheOld) {
  StoreConfig config;
  config.max_records = 2;
  config.max_index_keys = 12;
  RecordStore store(kSwarm, config);
  const auto put = [&](std::uint8_t who, std::uint8_t model, std::uint64_t sequence) {
    const Identity owner = numbered(who);
    const Record fields = example_record(sequence, {0, 8}, model);
    return store.put(sign_record(owner, fields), owner.peer_id(), std::array{models_key(kSwarm)},
                     kTtl, kNow);
  };
  EXPECT_EQ(put(1, 1, 1), PutResult::kStored);
  EXPECT_EQ(put(2, 2, 1), PutResult::kFull);  // the index of a second model does not fit
  EXPECT_EQ(put(2, 1, 1), PutResult::kStored);
  EXPECT_EQ(put(3, 1, 1), PutResult::kFull);
  EXPECT_EQ(put(2, 1, 2), PutResult::kStored);
  EXPECT_EQ(store.size(), 2u);
}

// Merge is a join: any order, any repetition of the same records gives the same store.
TEST(RecordStoreMergeTest, IsCommutativeAssociativeAndIdempotent) {
  Random random(7);
  std::vector<std::pair<wire::SignedRecord, proto::PeerId>> records;
  for (std::uint8_t who = 1; who <= 3; ++who) {
    for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
      const Identity owner = numbered(who);
      const auto state = sequence % 3 == 0 ? proto::NodeState::kOffline : proto::NodeState::kOnline;
      records.emplace_back(record(sequence, state, owner), owner.peer_id());
    }
  }
  const auto merged = [&](const std::vector<std::size_t>& order) {
    RecordStore store(kSwarm, StoreConfig{});
    for (const std::size_t i : order)
      store.put(records[i].first, kReplica.peer_id(), std::array{kModel}, kTtl, kNow);
    std::vector<std::string> contents;
    for (const RecordStore::Entry* entry : store.find(kModel, kNow))
      contents.push_back(entry->message.payload());
    return contents;
  };
  for (int run = 0; run < 100; ++run) {
    std::vector<std::size_t> subset;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (random.below(3) != 0) subset.push_back(i);
    }
    const auto expected = merged(subset);
    for (int shuffle = 0; shuffle < 3; ++shuffle) {
      std::vector<std::size_t> order = subset;
      for (int extra = 0; extra < 5 && !subset.empty(); ++extra)
        order.push_back(subset[random.below(subset.size())]);
      for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[random.below(i)]);
      EXPECT_EQ(merged(order), expected);
    }
  }
}

}  // namespace
}  // namespace shoal::dht
