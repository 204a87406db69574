// SPDX-License-Identifier: Apache-2.0
#include "tests/dht/golden.h"

#include <google/protobuf/text_format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "proto/dht.pb.h"
#include "proto/endpoint.h"
#include "tests/dht/example_record.h"
#include "tests/dht/session_ends.h"

namespace shoal::dht {
namespace {

std::string hex_of(std::string_view bytes) {
  return proto::hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

wire::DhtMessage message(std::uint64_t id) {
  wire::DhtMessage result;
  result.set_request_id(id);
  return result;
}

wire::SignedRecord record() { return sign_record(identity::identity_of(4), example_record(7)); }

wire::DhtMessage find(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.mutable_find()->set_target(model_key({}, example_model()).to_bytes());
  result.mutable_find()->set_want_records(true);
  result.mutable_find()->set_cursor(3);
  return result;
}

wire::DhtMessage found(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  wire::Found& found = *result.mutable_found();
  for (const std::uint8_t number : {5, 6}) {
    wire::Contact& contact = *found.add_closer();
    contact.set_public_key(identity::identity_of(number).public_key().to_bytes());
    proto::Endpoint endpoint = proto::Endpoint::v4({192, 0, 2, number}, 7000);
    if (number == 6)
      endpoint.address = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6};
    contact.set_address(proto::encode_endpoint(endpoint));
  }
  wire::StoredRecord& stored = *found.add_records();
  *stored.mutable_record() = record();
  stored.set_remaining_ttl_ms(123'456);
  found.set_next_cursor(4);
  found.set_total_records(9);
  return result;
}

wire::DhtMessage store(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  wire::Store& store = *result.mutable_store();
  store.add_keys(model_key({}, example_model()).to_bytes());
  store.add_keys(block_key({}, example_model(), 1).to_bytes());
  *store.mutable_record() = record();
  store.set_remaining_ttl_ms(170'000);
  return result;
}

wire::DhtMessage stored(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.mutable_stored()->add_accepted(true);
  result.mutable_stored()->add_accepted(false);
  result.mutable_stored()->set_reason("wrong key");
  return result;
}

wire::DhtMessage ping(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.set_client_mode(true);
  result.mutable_ping();
  return result;
}

wire::DhtMessage pong(std::uint64_t id, const proto::Endpoint& asker) {
  wire::DhtMessage result = message(id);
  result.mutable_pong()->set_observed_address(proto::encode_endpoint(asker));
  return result;
}

constexpr std::uint64_t kToken = 0x0123456789abcdef;

wire::DhtMessage dial_back(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.mutable_dial_back()->set_token(kToken);
  return result;
}
wire::DhtMessage dialed_back(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.mutable_dialed_back()->set_accepted(true);
  return result;
}
wire::DhtMessage dial(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.mutable_dial()->set_public_key(identity::identity_of(5).public_key().to_bytes());
  result.mutable_dial()->set_address(
      proto::encode_endpoint(proto::Endpoint::v4({192, 0, 2, 5}, 7000)));
  result.mutable_dial()->set_token(kToken);
  return result;
}
wire::DhtMessage dialed(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.mutable_dialed()->set_accepted(true);
  return result;
}
wire::DhtMessage dial_ping(std::uint64_t id) {
  wire::DhtMessage result = message(id);
  result.mutable_ping()->set_token(kToken);
  return result;
}

// Carries one conversation and writes down every datagram of it.
class Scribe {
 public:
  explicit Scribe(const std::optional<identity::SwarmKey>& key)
      : a_(1, kA, key), b_(2, kB, key), c_(3, kC, key) {}

  std::vector<GoldenDatagram> run() {
    a_.sessions.send({{}, kB}, ping(1).SerializeAsString(), kNow);
    hand_over(a_, b_, "hello to an address", "hello", nullptr);
    hand_over(b_, a_, "challenge", "challenge", nullptr);
    respond(hand_over(a_, b_, "handshake with a ping", "handshake", ping(1)), pong(1, kA),
            "pong in the session");
    in_session(store(2), "store", stored(2), "stored");
    in_session(find(3), "find", found(3), "found");
    question(find(4), "find without a session, padded", found(4), "found without a session");
    question(ping(5), "ping with a proof of the address", pong(5, kC), "pong without a session");
    c_.sessions.send(b_.contact(), store(6).SerializeAsString(), kNow);
    respond(
        hand_over(c_, b_, "handshake from a reply's cookie, with a store", "handshake", store(6)),
        stored(6), "stored in the new session", &c_);
    in_session(dial_back(7), "dial-back", dialed_back(7), "dialed back");
    in_session(dial(8), "dial", dialed(8), "dialed");
    question(dial_ping(9), "ping of a dial-back", pong(9, kC), "pong to a dial-back");
    return std::move(datagrams_);
  }

 private:
  std::optional<Sessions::Delivery> hand_over(End& from, End& to, const std::string& name,
                                              const std::string& packet,
                                              const wire::DhtMessage* body) {
    const std::vector<Datagram> sent = from.out();
    CHECK(sent.size() == 1) << name << ": " << sent.size();
    GoldenDatagram datagram{name, packet, sent[0].bytes, {}};
    if (body != nullptr) google::protobuf::TextFormat::PrintToString(*body, &datagram.body);
    datagrams_.push_back(datagram);
    return to.sessions.receive(sent[0].bytes, from.endpoint, kNow);
  }
  Sessions::Delivery hand_over(End& from, End& to, const std::string& name,
                               const std::string& packet, const wire::DhtMessage& body) {
    const auto delivery = hand_over(from, to, name, packet, &body);
    CHECK(delivery.has_value()) << name;
    return *delivery;
  }
  void respond(const Sessions::Delivery& asked, const wire::DhtMessage& answer,
               const std::string& name, End* asker = nullptr) {
    b_.sessions.respond(asked, answer.SerializeAsString(), kNow);
    const bool question = asked.via == Via::kQuestion;
    hand_over(b_, question || asker != nullptr ? c_ : a_, name, question ? "reply" : "message",
              answer);
  }
  void in_session(const wire::DhtMessage& request, const std::string& name,
                  const wire::DhtMessage& answer, const std::string& answer_name) {
    a_.sessions.send(b_.contact(), request.SerializeAsString(), kNow);
    respond(hand_over(a_, b_, name, "message", request), answer, answer_name);
  }
  void question(const wire::DhtMessage& request, const std::string& name,
                const wire::DhtMessage& answer, const std::string& answer_name) {
    CHECK(c_.sessions.ask(b_.contact(), request.SerializeAsString(), kMaxReplyBytes, kNow));
    respond(hand_over(c_, b_, name, "question", request), answer, answer_name);
  }

  End a_, b_, c_;
  std::vector<GoldenDatagram> datagrams_;
};

}  // namespace

identity::Identity golden_answerer() { return identity::identity_of(2); }

std::vector<GoldenDatagram> golden_conversation(
    const std::optional<identity::SwarmKey>& swarm_key) {
  return Scribe(swarm_key).run();
}

std::string to_json(const std::optional<identity::SwarmKey>& swarm_key,
                    const std::vector<GoldenDatagram>& datagrams) {
  nlohmann::ordered_json file;
  file["swarm_key"] = swarm_key ? proto::to_string(*swarm_key) : "";
  for (const GoldenDatagram& datagram : datagrams) {
    file["datagrams"].push_back({{"name", datagram.name},
                                 {"packet", datagram.packet},
                                 {"body", datagram.body},
                                 {"bytes", hex_of(datagram.bytes)}});
  }
  return file.dump(1) + "\n";
}

GoldenFile read_golden(const std::string& path) {
  std::ifstream in(path);
  const auto file = nlohmann::json::parse(in);
  GoldenFile result;
  const auto key = proto::unhex(file["swarm_key"].get<std::string>());
  if (key && !key->empty()) result.swarm_key = identity::SwarmKey::from_bytes(*key);
  for (const auto& datagram : file["datagrams"]) {
    result.datagrams.push_back({datagram["name"], datagram["packet"],
                                *proto::unhex(datagram["bytes"].get<std::string>()),
                                datagram["body"]});
  }
  return result;
}

}  // namespace shoal::dht
