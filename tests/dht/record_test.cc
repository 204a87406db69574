// SPDX-License-Identifier: Apache-2.0
#include "dht/record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "identity/random.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

Record example() {
  Record record;
  record.sequence = 7;
  record.ttl_ms = 180'000;
  record.load.state = proto::NodeState::kOnline;
  record.offer.model_digest.bytes.fill(9);
  record.offer.model_name = "demo";
  record.offer.block_count = 8;
  record.offer.span = {2, 5};
  record.offer.numerics = {proto::Compute::kF32, proto::WeightFormat::kBf16, proto::KvFormat::kF32};
  record.load.block_step_us = 123.5F;
  record.load.free_kv_positions = 4096;
  record.load.queue_depth = 3;
  record.addresses = {*proto::parse_endpoint("192.0.2.1:7000"),
                      *proto::parse_endpoint("[2001:db8::1]:7000")};
  record.offer.public_name = "Änne";
  return record;
}

proto::PeerId numbered_id(std::uint8_t number) {
  proto::PeerId id;
  id.bytes.fill(number);
  return id;
}

wire::SignedRecord signed_by(const identity::Identity& identity,
                             const std::function<void(wire::Record&)>& change) {
  wire::SignedRecord message = sign_record(identity, example());
  wire::Record fields;
  EXPECT_TRUE(fields.ParseFromString(message.payload()));
  change(fields);
  message.set_payload(fields.SerializeAsString());
  message.set_signature(identity.sign("shoal-record-v1", message.payload()).to_bytes());
  return message;
}

TEST(RecordTest, SignedRecordVerifiesAndKeepsEveryField) {
  const identity::Identity identity = identity::Identity::generate();
  const Record in = example();
  const wire::SignedRecord message = sign_record(identity, in);
  const auto out = verify_record(message);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->peer_id(), identity.peer_id());
  EXPECT_EQ(out->sequence, in.sequence);
  EXPECT_EQ(out->ttl_ms, in.ttl_ms);
  EXPECT_EQ(out->offer, in.offer);
  EXPECT_EQ(out->load, in.load);
  EXPECT_EQ(out->addresses, in.addresses);
  EXPECT_EQ(out->version_major, in.version_major);
  EXPECT_LE(message.ByteSizeLong(), 240u);  // a usual one: five fit into a datagram
}

TEST(RecordTest, LongNamesGiveWayToTheSizeLimit) {
  Record record = example();
  record.offer.model_name = std::string(200, 'm');
  record.offer.public_name = std::string(100, '\n');
  record.addresses.assign(4, *proto::parse_endpoint("[2001:db8::1]:7000"));
  record.sequence = ~std::uint64_t{0};
  record.load.free_kv_positions = record.load.queue_depth = ~std::uint32_t{0};
  const wire::SignedRecord message = sign_record(identity::Identity::generate(), record);
  EXPECT_LE(message.ByteSizeLong(), proto::kMaxRecordBytes);
  const auto out = verify_record(message);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->addresses.size(), 4u);
}

TEST(RecordTest, EveryFieldOutOfBoundsIsRefused) {
  const identity::Identity identity = identity::Identity::generate();
  const std::vector<std::function<void(wire::Record&)>> changes = {
      [](auto& r) { r.set_public_key("short"); },
      [](auto& r) { r.set_public_key(std::string(32, '\1')); },
      [](auto& r) { r.set_sequence(0); },
      [](auto& r) { r.set_ttl_ms(0); },
      [](auto& r) { r.set_ttl_ms(180'001); },
      [](auto& r) { r.mutable_load()->set_state(4); },
      [](auto& r) { r.mutable_offer()->set_model_digest(std::string(31, 'x')); },
      [](auto& r) { r.mutable_offer()->set_model_name(std::string(65, 'x')); },
      [](auto& r) { r.mutable_offer()->set_public_name("\x1b[31m"); },
      [](auto& r) { r.mutable_offer()->set_compute(static_cast<wire::Compute>(256)); },
      [](auto& r) { r.mutable_offer()->set_block_count(0); },
      [](auto& r) { r.mutable_offer()->set_block_count(513); },
      [](auto& r) { r.mutable_offer()->set_span_end(9); },
      [](auto& r) { r.mutable_offer()->set_span_begin(6); },
      [](auto& r) { r.mutable_offer()->set_span_begin(5); },  // empty although online
      [](auto& r) { r.mutable_load()->set_block_step_us(std::numeric_limits<float>::quiet_NaN()); },
      [](auto& r) { r.mutable_load()->set_block_step_us(std::numeric_limits<float>::infinity()); },
      [](auto& r) { r.mutable_load()->set_block_step_us(-1); },
      [](auto& r) { r.add_addresses("\0011234"); },
      [](auto& r) { r.add_addresses(std::string("\1\0\0\0\0\0\0", 7)); },
      [](auto& r) { r.add_addresses("\1" + std::string(37, '\1')); },
      [](auto& r) { r.add_addresses(""); },
      [](auto& r) { r.add_addresses("\3" + std::string(64, 'x')); },
      [](auto& r) {  // a relay that is the node itself
        const auto self = identity::PublicKey::from_bytes(r.public_key());
        r.add_addresses(proto::encode_address(proto::Address::through(
            identity::peer_id_of(*self), *proto::parse_endpoint("192.0.2.9:1"))));
      },
      [](auto& r) { r.set_version_major(1); },
      [](auto& r) { r.set_version_major(3); },
      [](auto& r) { r.clear_offer(); },
      [](auto& r) {
        for (int i = 0; i < 3; ++i) r.add_addresses(std::string("\1\x7f\0\0\1\0\1", 7));
      },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const absl::Status status = verify_record(signed_by(identity, changes[i])).status();
    // With another's key in it, it is whole, and forged.
    EXPECT_EQ(status.code(),
              i == 1 ? absl::StatusCode::kUnauthenticated : absl::StatusCode::kInvalidArgument)
        << i << status;
  }
  EXPECT_TRUE(verify_record(signed_by(identity, [](auto&) {})).ok());
  EXPECT_TRUE(verify_record(signed_by(identity, [](auto& r) {
                r.GetReflection()->MutableUnknownFields(&r)->AddVarint(99, 1);
              })).ok());
}

TEST(RecordTest, AddressesMayLeadThroughRelays) {
  Record record = example();
  const auto relay = identity::Identity::generate().peer_id();
  record.addresses = {*proto::parse_endpoint("10.0.0.7:7000"),
                      proto::Address::through(relay, *proto::parse_endpoint("192.0.2.9:7000"))};
  const auto out = verify_record(sign_record(identity::Identity::generate(), record));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->addresses, record.addresses);
  EXPECT_EQ(out->addresses[1].relay, relay);
}

TEST(RecordTest, TwoRelaysOverIpv6AndTwoAddressesFitBesideTheLargestRest) {
  const identity::Identity identity = identity::Identity::generate();
  Record record = example();
  record.sequence = ~std::uint64_t{0};
  record.offer.block_count = 512;
  record.offer.span = {300, 512};
  record.offer.ends.head = proto::WeightFormat::kQ4S;
  record.offer.movable_blocks = 212;
  record.load.moving_to = {200, 412};
  record.load.free_kv_positions = record.load.queue_depth = ~std::uint32_t{0};
  record.version_minor = 127;
  const auto v6 = *proto::parse_endpoint("[2001:db8::1]:7000");
  record.addresses = {v6, v6, proto::Address::through(numbered_id(1), v6),
                      proto::Address::through(numbered_id(2), v6)};
  const wire::SignedRecord message = sign_record(identity, record);
  EXPECT_LE(message.ByteSizeLong(), proto::kMaxRecordBytes);
  const auto out = verify_record(message);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->addresses, record.addresses);
}

TEST(RecordTest, AnAddressOfALaterVersionsKindIsLeftOutAndTheRestCounts) {
  const auto out = verify_record(signed_by(identity::Identity::generate(), [](wire::Record& r) {
    r.add_addresses("\x09" + std::string(63, 'x'));
  }));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->addresses, example().addresses);
}

TEST(RecordTest, ARecordOfAnotherMajorVersionIsRefusedWithBothNamed) {
  const absl::Status status =
      verify_record(signed_by(identity::Identity::generate(), [](wire::Record& r) {
        r.set_version_major(1);
      })).status();
  EXPECT_NE(std::string(status.message()).find("it speaks protocol 1.2, this program speaks 2.2"),
            std::string::npos)
      << status;
}

TEST(RecordTest, AnyChangedBitIsRefused) {
  const wire::SignedRecord message = sign_record(identity::Identity::generate(), example());
  for (std::size_t i = 0; i < message.payload().size(); ++i) {
    wire::SignedRecord changed = message;
    (*changed.mutable_payload())[i] ^= 1;
    EXPECT_FALSE(verify_record(changed).ok()) << i;
  }
  for (std::size_t i = 0; i < message.signature().size(); ++i) {
    wire::SignedRecord changed = message;
    (*changed.mutable_signature())[i] ^= 0x10;
    EXPECT_FALSE(verify_record(changed).ok()) << i;
  }
  EXPECT_FALSE(verify_record(wire::SignedRecord()).ok());
}

TEST(RecordTest, RandomBytesAreRefused) {
  identity::Random random(11);
  for (int i = 0; i < 2000; ++i) {
    wire::SignedRecord message;
    std::string bytes(random.below(400), '\0');
    for (char& c : bytes) c = static_cast<char>(random.next());
    message.set_payload(bytes);
    message.set_signature(std::string(64, '\0'));
    EXPECT_FALSE(verify_record(message).ok());
  }
}

TEST(RecordTest, IsFoundUnderTheListTheModelAndEachBlockOfItsSpan) {
  const Record record = example();
  const identity::SwarmId swarm{};
  const std::vector<Key> expected = {models_key(swarm), model_key(swarm, record.offer.model_digest),
                                     block_key(swarm, record.offer.model_digest, 2),
                                     block_key(swarm, record.offer.model_digest, 3),
                                     block_key(swarm, record.offer.model_digest, 4)};
  EXPECT_EQ(keys_of(swarm, record), expected);
}

TEST(RecordDeathTest, OurOwnRecordOutOfBoundsIsOurBug) {
  Record record = example();
  record.ttl_ms = 0;
  EXPECT_DEATH(sign_record(identity::Identity::generate(), record), "ttl");
}

}  // namespace
}  // namespace shoal::dht
