// SPDX-License-Identifier: Apache-2.0
#include "dht/record_store.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <map>
#include <set>

#include "identity/random.h"
#include "tests/dht/example_record.h"
#include "tests/identity/examples.h"

namespace shoal::dht {
namespace {

const TimePoint kNow{seconds(1000)};
const identity::SwarmId kSwarm{};
const Key kModel = model_key(kSwarm, example_model());
constexpr std::uint32_t kTtl = proto::kMaxRecordTtlMs;

const identity::Identity kOwner = identity::identity_of(1), kReplica = identity::identity_of(2);

Contact sender(const identity::Identity& identity) {
  return {identity.peer_id(), proto::Endpoint::v4({10, 0, 0, 1}, 7000)};
}

wire::SignedRecord record(std::uint64_t sequence,
                          proto::NodeState state = proto::NodeState::kOnline,
                          const identity::Identity& owner = kOwner) {
  Record fields = example_record(sequence);
  fields.load.state = state;
  return sign_record(owner, fields);
}

struct StoreTest : testing::Test {
  PutResult own(const wire::SignedRecord& message, TimePoint now = kNow) {
    return store.put(message, sender(kOwner), std::array{kModel}, kTtl, now);
  }
  PutResult hand_over(const wire::SignedRecord& message, std::uint32_t remaining_ms = kTtl,
                      TimePoint now = kNow) {
    return store.put(message, sender(kReplica), std::array{kModel}, remaining_ms, now);
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
    EXPECT_EQ(store.put(record(1), sender(kOwner), std::array{key}, kTtl, kNow),
              PutResult::kWrongKey);
  }
  wire::SignedRecord forged = record(1);
  forged.mutable_signature()->front() ^= 1;
  EXPECT_EQ(own(forged), PutResult::kForged);
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

TEST_F(StoreTest, AKnownRecordIsAcceptedOnlyWhereAFindShowsIt) {
  own(record(1));
  const auto again = [&](const Key& key) {
    return store.put(record(1), sender(kReplica), std::array{key}, kTtl, kNow);
  };
  for (const Key& key : keys_of(kSwarm, example_record(1))) {
    EXPECT_EQ(again(key), PutResult::kUnchanged);
  }
  for (const Key& key :
       {Key{}, block_key(kSwarm, example_model(), 4), model_key(kSwarm, example_model(2))}) {
    EXPECT_EQ(again(key), PutResult::kWrongKey);
  }
}

TEST_F(StoreTest, WhatTheOwnerHandsOverIsNoFreshPublish) {
  const auto owner_hands_over = [&](std::uint32_t remaining_ms, TimePoint now) {
    return store.put(record(1), sender(kOwner), std::array{kModel}, remaining_ms, now);
  };
  EXPECT_EQ(owner_hands_over(20'000, kNow), PutResult::kStored);
  EXPECT_EQ(store.next_expiry(), kNow + seconds(20));
  EXPECT_EQ(owner_hands_over(19'000, kNow), PutResult::kRefreshed);  // it overtook the first
  EXPECT_EQ(store.next_expiry(), kNow + seconds(20));
  EXPECT_EQ(owner_hands_over(kTtl, kNow + seconds(5)), PutResult::kRefreshed);
  EXPECT_EQ(store.next_expiry(), kNow + seconds(5) + milliseconds(kTtl));
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
  fields.load.state = proto::NodeState::kOffline;
  fields.offer.span = {0, 0};
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
  EXPECT_EQ(store.put(other_model, sender(kOwner), std::array{models_key(kSwarm)}, kTtl, kNow),
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
    const identity::Identity owner = identity::identity_of(who);
    const Record fields = example_record(sequence, {0, 8}, model);
    return store.put(sign_record(owner, fields), sender(owner), std::array{models_key(kSwarm)},
                     kTtl, kNow);
  };
  EXPECT_EQ(put(1, 1, 1), PutResult::kStored);
  EXPECT_EQ(put(2, 2, 1), PutResult::kFull);  // the index of a second model does not fit
  EXPECT_EQ(put(2, 1, 1), PutResult::kStored);
  EXPECT_EQ(put(3, 1, 1), PutResult::kFull);
  EXPECT_EQ(put(2, 1, 2), PutResult::kStored);
  EXPECT_EQ(store.size(), 2u);
}

TEST(RecordStorePageTest, PagesShowEveryRecordOnceInAnOrderThatTheSeedDecides) {
  RecordStore store(kSwarm, StoreConfig{});
  for (std::uint8_t who = 1; who <= 40; ++who) {
    const identity::Identity owner = identity::identity_of(who);
    const auto state = who == 7 ? proto::NodeState::kOffline : proto::NodeState::kOnline;
    ASSERT_EQ(store.put(record(1, state, owner), sender(owner), std::array{kModel}, kTtl, kNow),
              PutResult::kStored);
  }
  const auto pages = [&](std::uint64_t seed) {
    std::vector<proto::PeerId> subjects;
    for (std::size_t cursor = 0; cursor < 40; cursor += 3) {
      const RecordStore::Page page = store.page(kModel, seed, cursor, 3, kNow);
      EXPECT_EQ(page.total, 40u);
      EXPECT_EQ(page.entries.size(), std::min<std::size_t>(3, 40 - cursor));
      for (const RecordStore::Entry* entry : page.entries) subjects.push_back(entry->subject);
    }
    return subjects;
  };
  const auto first = pages(1);
  EXPECT_EQ(std::set<proto::PeerId>(first.begin(), first.end()).size(), 40u);
  EXPECT_EQ(pages(1), first);
  EXPECT_NE(pages(2), first);
  EXPECT_TRUE(store.page(kModel, 1, 40, 3, kNow).entries.empty());
  EXPECT_TRUE(store.page(kModel, 1, 1'000'000, 3, kNow).entries.empty());
  EXPECT_EQ(store.page(Key{}, 1, 0, 3, kNow).total, 0u);
  // Everybody is first for some asker: the first record of 2000 seeds is nearly uniform.
  std::map<proto::PeerId, int> firsts;
  for (std::uint64_t seed = 0; seed < 2000; ++seed)
    ++firsts[store.page(kModel, seed, 0, 1, kNow).entries[0]->subject];
  EXPECT_EQ(firsts.size(), 40u);
  for (const auto& [subject, count] : firsts) EXPECT_LT(count, 100);
}

// Full stores: the network that has most in it gives way.
struct FairnessTest : testing::Test {
  // `who` stores its record from address 203.0.NETWORK.1, itself or by another's hand.
  PutResult put(int who, std::uint8_t network, bool owner = true, std::uint8_t first = 203,
                std::uint64_t sequence = 1) {
    std::array<std::uint8_t, 32> seed{};
    seed[0] = static_cast<std::uint8_t>(who);
    seed[1] = static_cast<std::uint8_t>(who >> 8);
    seed[2] = 1;  // nobody that the other tests know
    const identity::Identity identity = identity::Identity::from_seed(seed);
    Contact from{owner ? identity.peer_id() : kReplica.peer_id(),
                 proto::Endpoint::v4({first, 0, network, 1}, 7000)};
    return store->put(record(sequence, proto::NodeState::kOnline, identity), from,
                      std::array{kModel}, kTtl, kNow + milliseconds(who));
  }
  void open(std::size_t max_records) {
    config.max_records = max_records;
    store.emplace(kSwarm, config);
  }
  std::size_t of_network(std::uint8_t network) const {
    std::size_t count = 0;
    for (const RecordStore::Entry* entry : store->find(kModel, kNow))
      count += (entry->source >> 2 & 0xff) == network ? 1 : 0;
    return count;
  }
  StoreConfig config;
  std::optional<RecordStore> store;
};

TEST_F(FairnessTest, ACrowdedNetworkGivesWayToOthersAndGetsNothingFromThem) {
  open(10);
  for (int who = 0; who < 10; ++who) EXPECT_EQ(put(who, 1), PutResult::kStored);
  EXPECT_EQ(put(10, 1), PutResult::kFull);
  for (int who = 11; who < 16; ++who) EXPECT_EQ(put(who, 2), PutResult::kStored);
  EXPECT_EQ(of_network(1), 5u);
  EXPECT_EQ(of_network(2), 5u);
  EXPECT_EQ(put(16, 2), PutResult::kFull);  // it has its share
  for (std::uint8_t network = 3; network < 11; ++network)
    EXPECT_EQ(put(20 + network, network), PutResult::kStored);
  EXPECT_EQ(store->size(), 10u);
  EXPECT_EQ(of_network(1), 1u);
  EXPECT_EQ(put(40, 11), PutResult::kFull);  // one each: nobody has to go
}

TEST_F(FairnessTest, TheSoonestToExpireGoesFirstAndComesBackThroughItsOwnerOnly) {
  open(3);
  for (int who = 0; who < 3; ++who) EXPECT_EQ(put(who, 1), PutResult::kStored);
  EXPECT_EQ(put(3, 2), PutResult::kStored);
  EXPECT_EQ(put(0, 3, false), PutResult::kStale);  // the first was to expire soonest
  EXPECT_EQ(put(0, 3, true), PutResult::kStored);
}

TEST_F(FairnessTest, ANetworkHas64RecordsOfItsOwnAnd1024OfOthers) {
  open(20'000);
  for (int who = 0; who < 64; ++who) EXPECT_EQ(put(who, 1), PutResult::kStored);
  EXPECT_EQ(put(64, 1), PutResult::kFull);
  EXPECT_EQ(put(63, 1, true, 203, 2), PutResult::kStored);  // known ones go on
  for (int who = 64; who < 64 + 1024; ++who) ASSERT_EQ(put(who, 1, false), PutResult::kStored);
  EXPECT_EQ(put(2000, 1, false), PutResult::kFull);
  // What its owner refreshes counts for its owner.
  EXPECT_EQ(put(64, 2), PutResult::kRefreshed);
  EXPECT_EQ(put(2000, 1, false), PutResult::kStored);
}

TEST_F(FairnessTest, PrivateNetworksAndKeyedSwarmsHaveNoSuchShares) {
  open(20'000);
  for (int who = 0; who < 100; ++who) EXPECT_EQ(put(who, 1, true, 10), PutResult::kStored);
  config.limit_networks = false;
  open(20'000);
  for (int who = 0; who < 100; ++who) EXPECT_EQ(put(who, 1), PutResult::kStored);
}

TEST_F(FairnessTest, AModelIsBoundedToo) {
  config.max_per_model = 5;
  open(100);
  for (int who = 0; who < 5; ++who) EXPECT_EQ(put(who, 1), PutResult::kStored);
  EXPECT_EQ(put(5, 1), PutResult::kFull);
  EXPECT_EQ(put(6, 2), PutResult::kStored);
  EXPECT_EQ(store->find(kModel, kNow).size(), 5u);
  EXPECT_EQ(of_network(2), 1u);
}

TEST_F(FairnessTest, OurOwnRecordAlwaysFits) {
  open(2);
  for (int who = 0; who < 2; ++who) EXPECT_EQ(put(who, 1), PutResult::kStored);
  EXPECT_EQ(store->put(record(1), {kOwner.peer_id(), {}}, std::array{kModel}, kTtl, kNow),
            PutResult::kStored);
  for (std::uint8_t network = 2; network < 20; ++network) put(10 + network, network);
  EXPECT_NE(store->get(kOwner.peer_id()), nullptr);
  EXPECT_LE(store->size(), 3u);
}

TEST_F(FairnessTest, BooksAreKeptWhenEverythingExpires) {
  open(100);
  for (int who = 0; who < 60; ++who) put(who, static_cast<std::uint8_t>(who % 7), who % 2 == 0);
  store->expire(kNow + seconds(200));
  EXPECT_EQ(store->size(), 0u);
  EXPECT_EQ(store->index_size(), 0u);
  EXPECT_EQ(store->source_count(), 0u);
}

// Measured by the allocator, all indexes included; DHT peers of a large swarm hold this many.
TEST(RecordStoreMemoryTest, AThousandRecordsTakeLessThanTwoMebibytes) {
  const std::size_t before = mallinfo2().uordblks;
  RecordStore store(kSwarm, StoreConfig{});
  for (int who = 0; who < 1000; ++who) {
    std::array<std::uint8_t, 32> seed{};
    seed[0] = static_cast<std::uint8_t>(who);
    seed[1] = static_cast<std::uint8_t>(who >> 8);
    const identity::Identity owner = identity::Identity::from_seed(seed);
    Record fields = example_record(1, {static_cast<proto::BlockIndex>(who % 4), 8});
    fields.offer.public_name = std::string(proto::kMaxNameBytes, 'n');
    ASSERT_EQ(store.put(sign_record(owner, fields), sender(owner), std::array{kModel}, kTtl, kNow),
              PutResult::kStored);
  }
  const std::size_t used = mallinfo2().uordblks - before;
  if (mallinfo2().uordblks == 0) GTEST_SKIP() << "this allocator does not tell";
  RecordProperty("bytes", static_cast<int>(used));
  EXPECT_LE(used, 2u << 20);
}

// Merge is a join: any order, any repetition of the same records gives the same store.
TEST(RecordStoreMergeTest, IsCommutativeAssociativeAndIdempotent) {
  identity::Random random(7);
  std::vector<std::pair<wire::SignedRecord, proto::PeerId>> records;
  for (std::uint8_t who = 1; who <= 3; ++who) {
    for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
      const identity::Identity owner = identity::identity_of(who);
      const auto state = sequence % 3 == 0 ? proto::NodeState::kOffline : proto::NodeState::kOnline;
      records.emplace_back(record(sequence, state, owner), owner.peer_id());
    }
  }
  const auto merged = [&](const std::vector<std::size_t>& order) {
    RecordStore store(kSwarm, StoreConfig{});
    for (const std::size_t i : order)
      store.put(records[i].first, sender(kReplica), std::array{kModel}, kTtl, kNow);
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
