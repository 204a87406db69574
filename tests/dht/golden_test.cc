// SPDX-License-Identifier: Apache-2.0
// Captured datagrams of every packet and message type. A later version proves with them that it
// still understands this one. After a change on purpose: SHOAL_WRITE_GOLDEN=1 writes what today's
// code sends into a file of a new number; the old files stay, and are still to be understood.
#include "tests/dht/golden.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "dht/questions.h"
#include "dht/record.h"
#include "dht/session_keys.h"
#include "proto/dht.pb.h"

namespace shoal::dht {
namespace {

// Of the newest files: 1 knew no dial-backs, 2 is of protocol 1, 3 of 2.0, 4 of 2.1.
constexpr int kVersion = 5;
const std::filesystem::path kFolder =
    std::filesystem::path(SHOAL_SOURCE_DIR) / "tests" / "fixtures" / "dht";

identity::SwarmKey example_key() {
  identity::SwarmKey key;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<std::uint8_t>(i);
  return key;
}

struct Kind {
  const char* name;
  std::optional<identity::SwarmKey> key;
};
const std::vector<Kind> kKinds = {{"public", std::nullopt}, {"keyed", example_key()}};

std::filesystem::path newest(const Kind& kind) {
  return kFolder / (std::string(kind.name) + "-" + std::to_string(kVersion) + ".json");
}

TEST(GoldenTest, TodaysCodeSendsTheSameBytes) {
  for (const Kind& kind : kKinds) {
    const auto sent = golden_conversation(kind.key);
    if (std::getenv("SHOAL_WRITE_GOLDEN") != nullptr) {
      std::filesystem::create_directories(kFolder);
      std::ofstream(newest(kind)) << to_json(kind.key, sent);
    }
    const GoldenFile file = read_golden(newest(kind));
    ASSERT_EQ(sent.size(), file.datagrams.size());
    EXPECT_EQ(kind.key, file.swarm_key);
    for (std::size_t i = 0; i < sent.size(); ++i) {
      EXPECT_EQ(sent[i].name, file.datagrams[i].name);
      EXPECT_TRUE(sent[i].bytes == file.datagrams[i].bytes) << kind.name << ": " << sent[i].name;
    }
  }
}

// Reads a conversation as the peer can that was spoken to: from its identity and the datagrams
// alone.
class Reader {
 public:
  explicit Reader(const std::optional<identity::SwarmKey>& key)
      : self_(golden_answerer()),
        seal_(key),
        secret_(seal_.derive("shoal-dht-session-secret-v1")) {}

  // The type of the packet, and the message in it; or why there is none.
  std::pair<std::string, std::string> read(const std::string& datagram) {
    std::array<char, 1200> buffer;
    const auto plain = seal_.open(datagram, buffer);
    if (!plain) return {"sealed", ""};
    const auto packet = parse_packet(*plain);
    if (!packet) return {"unknown", ""};
    return std::visit([&](const auto& known) { return read(known); }, *packet);
  }

 private:
  using Result = std::pair<std::string, std::string>;

  Result read(const HelloPacket& packet) {
    EXPECT_TRUE(packet.destination == proto::PeerId{} || packet.destination == self_.peer_id());
    return {"hello", ""};
  }
  Result read(const ChallengePacket& packet) {
    EXPECT_EQ(packet.key, self_.public_key());
    return {"challenge", ""};
  }
  Result read(const HandshakePacket& packet) {
    const auto keys = accept_handshake(self_, self_.exchange_secret(), secret_, packet);
    if (!keys) return {"refused handshake", ""};
    sessions_.push_back(*keys);
    return {"handshake",
            decrypt(keys->to_responder, message_nonce(0), packet.header, packet.ciphertext)
                .value_or("unreadable")};
  }
  Result read(const MessagePacket& packet) {
    for (const SessionKeys& keys : sessions_) {
      const bool to_us = packet.session == keys.responder_session;
      if (!to_us && packet.session != keys.initiator_session) continue;
      return {"message", decrypt(to_us ? keys.to_responder : keys.to_initiator,
                                 message_nonce(packet.counter), packet.header, packet.ciphertext)
                             .value_or("unreadable")};
    }
    return {"message of no session", ""};
  }
  Result read(const QuestionPacket& packet) {
    EXPECT_EQ(packet.destination, mark_of(self_.peer_id()));
    Answerer answerer(SessionConfig{}, secret_, self_);
    auto question = answerer.open(packet, TimePoint{});
    if (!question) return {"refused question", ""};
    replies_.emplace_back(packet.echo, question->reply_key);
    return {"question", std::move(question->message)};
  }
  Result read(const ReplyPacket& packet) {
    for (const auto& [echo, key] : replies_) {
      if (echo != packet.echo) continue;
      return {"reply",
              decrypt(key, reply_nonce(echo, packet.cookie), packet.header, packet.ciphertext)
                  .value_or("unreadable")};
    }
    return {"reply to no question", ""};
  }

  const identity::Identity self_;
  const Seal seal_;
  const identity::Bytes32 secret_;
  std::vector<SessionKeys> sessions_;
  std::vector<std::pair<Echo, identity::Bytes32>> replies_;
};

// Datagrams have not changed since protocol 1, and records have.
void expect_verdict(const wire::SignedRecord& record, int version) {
  const absl::Status status = verify_record(record).status();
  if (version >= 3) {
    EXPECT_TRUE(status.ok()) << status;
    return;
  }
  EXPECT_NE(std::string(status.message()).find("it speaks protocol 1.0, this program speaks 2.2"),
            std::string::npos)
      << status;
}

TEST(GoldenTest, EveryVersionIsStillUnderstood) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".json") continue;
    SCOPED_TRACE(entry.path().filename());
    ++files;
    const int version = entry.path().stem().string().back() - '0';
    const GoldenFile file = read_golden(entry.path());
    Reader reader(file.swarm_key);
    std::set<std::string> packets;
    std::set<int> bodies;
    for (const GoldenDatagram& datagram : file.datagrams) {
      SCOPED_TRACE(datagram.name);
      const auto [packet, body] = reader.read(datagram.bytes);
      EXPECT_EQ(packet, datagram.packet);
      packets.insert(packet);
      wire::DhtMessage expected, got;
      ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(datagram.body, &expected));
      ASSERT_TRUE(got.ParseFromString(body));
      EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(got, expected))
          << got.DebugString();
      bodies.insert(got.body_case());
      if (got.has_store()) expect_verdict(got.store().record(), version);
      for (const auto& stored : got.found().records()) expect_verdict(stored.record(), version);
    }
    EXPECT_EQ(packets.size(), 6u);
    // Six types, ten since version 2, and none in hello and challenge.
    EXPECT_EQ(bodies.size(), version == 1 ? 7u : 11u);
  }
  EXPECT_EQ(files, 2 * kVersion);
}

TEST(GoldenTest, TheyAreNoOtherSwarms) {
  Reader stranger(std::nullopt);
  for (const GoldenDatagram& datagram : read_golden(newest(kKinds[1])).datagrams)
    EXPECT_EQ(stranger.read(datagram.bytes).first, "sealed");
}

}  // namespace
}  // namespace shoal::dht
