// SPDX-License-Identifier: Apache-2.0
// dht-corpus FOLDER: writes the corpora of the directory's fuzz targets, made from the conversation
// of tests/dht/golden.cc, into FOLDER/dht_*.
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "dht/record.h"
#include "proto/address.h"
#include "proto/dht.pb.h"
#include "tests/dht/example_record.h"
#include "tests/dht/golden.h"
#include "tests/dht/session_ends.h"
#include "tests/sim/model_primitives.h"

namespace shoal::dht {
namespace {

std::string chunk(std::string_view bytes) {
  std::string out;
  out += static_cast<char>(bytes.size() >> 8);
  out += static_cast<char>(bytes.size() & 0xff);
  return out.append(bytes);
}

std::string step(int kind, std::string_view bytes) {
  return std::string(1, static_cast<char>(kind)) + chunk(bytes);
}

class Corpus {
 public:
  Corpus(const std::filesystem::path& folder, const std::string& target)
      : folder_(folder / target) {
    std::filesystem::create_directories(folder_);
  }
  void add(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }

 private:
  const std::filesystem::path folder_;
};

// The messages of the conversation, by name.
std::vector<std::pair<std::string, wire::DhtMessage>> bodies() {
  std::vector<std::pair<std::string, wire::DhtMessage>> result;
  const Record record = example_record(7);
  result.reserve(16);  // references hold
  const auto add = [&](const std::string& name) -> wire::DhtMessage& {
    result.emplace_back(name, wire::DhtMessage());
    result.back().second.set_request_id(result.size());
    return result.back().second;
  };
  add("ping").mutable_ping();
  add("pong").mutable_pong()->set_observed_address(proto::encode_endpoint(kA));
  wire::Find& find = *add("find").mutable_find();
  find.set_target(models_key({}).to_bytes());
  find.set_want_records(true);
  wire::Found& found = *add("found").mutable_found();
  for (const std::uint8_t number : {5, 6}) {
    wire::Contact& contact = *found.add_closer();
    contact.set_public_key(identity::identity_of(number).public_key().to_bytes());
    contact.set_address(proto::encode_endpoint(proto::Endpoint::v4({151, 101, number, 1}, 7000)));
  }
  wire::StoredRecord& held = *found.add_records();
  *held.mutable_record() = sign_record(identity::identity_of(4), record);
  held.set_remaining_ttl_ms(100'000);
  found.set_next_cursor(1);
  found.set_total_records(2);
  wire::Store& store = *add("store").mutable_store();
  store.add_keys(models_key({}).to_bytes());
  *store.mutable_record() = sign_record(identity::identity_of(1), record);
  store.set_remaining_ttl_ms(170'000);
  wire::Stored& stored = *add("stored").mutable_stored();
  stored.add_accepted(true);
  add("dial_back").mutable_dial_back()->set_token(7);
  add("dialed_back").mutable_dialed_back()->set_accepted(true);
  wire::Dial& dial = *add("dial").mutable_dial();
  dial.set_public_key(identity::identity_of(5).public_key().to_bytes());
  dial.set_address(proto::encode_endpoint(proto::Endpoint::v4({151, 101, 5, 1}, 7000)));
  dial.set_token(7);
  add("dialed").mutable_dialed()->set_accepted(true);
  add("dial_ping").mutable_ping()->set_token(7);
  return result;
}

void write(const std::filesystem::path& folder) {
  Corpus datagrams(folder, "dht_datagram");
  const Seal seal({});
  int number = 0;
  for (const GoldenDatagram& golden : golden_conversation({})) {
    std::array<char, 1200> buffer;
    const std::string plain(*seal.open(golden.bytes, buffer));
    // State by state; known echo where it matters.
    const char state = static_cast<char>(number % 6);
    const int flags = golden.packet == "challenge" || golden.packet == "reply" ? 4 : 0;
    datagrams.add(golden.packet + std::to_string(number++),
                  std::string(1, state) + step(flags, plain) + step(flags | 2, plain));
    if (golden.packet == "hello" || golden.packet == "question")
      datagrams.add("sealed" + std::to_string(number),
                    std::string(1, '\0') + step(1, golden.bytes));
    if (golden.packet == "challenge") {
      datagrams.add("challenged_hello", std::string(1, '\1') + step(12, plain));
      datagrams.add("challenged_message", std::string(1, '\2') + step(12, plain));
      datagrams.add("challenged_question", std::string(1, '\3') + step(12, plain));
    }
  }

  Corpus handshakes(folder, "dht_handshake"), questions(folder, "dht_question"),
      core(folder, "dht_kademlia");
  const auto all = bodies();
  std::string everything(1, '\0');
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& [name, message] = all[i];
    const std::string text = message.SerializeAsString();
    handshakes.add(name, std::string(1, static_cast<char>(i)) + chunk(text));
    handshakes.add(name + "_changed", std::string(1, static_cast<char>(i)) + chunk(text) +
                                          std::string("\0\x05\x01\0\x99\x80", 6));
    questions.add(name, std::string(1, static_cast<char>(i)) +
                            chunk(chunk(text) + std::string(40, '\0')) + chunk(text));
    questions.add(name + "_changed", std::string(1, '\1') + chunk(chunk(text)) + chunk(text) +
                                         std::string("\0\x05\x01\0\x30\x80", 6));
    core.add("session_" + name, std::string(1, '\0') + step(0, text) + step(5, "\x20"));
    core.add("question_" + name, std::string(1, '\0') + step(1, text));
    core.add("find_" + name, std::string(1, static_cast<char>(i % 2)) + step(7, "") +
                                 step(4, all[3].second.SerializeAsString()) + step(2, "") +
                                 step(4, text) + step(4, text) + step(5, "\x40"));
    core.add("publish_" + name, std::string(1, '\0') + step(0, all[0].second.SerializeAsString()) +
                                    step(3, "") + step(4, all[3].second.SerializeAsString()) +
                                    step(4, text) + step(4, text) + step(5, "\x40"));
    everything += step(static_cast<int>(i % 2), text);
  }
  core.add("everything", everything);

  Corpus records(folder, "dht_record");
  Record record = example_record(7);
  const wire::SignedRecord online = sign_record(identity::identity_of(2), record);
  record.sequence = 8;
  record.load.state = proto::NodeState::kOffline;
  const wire::SignedRecord offline = sign_record(identity::identity_of(2), record);
  record.sequence = 9;
  record.load.state = proto::NodeState::kOnline;
  record.addresses.push_back(proto::Address::through(identity::identity_of(7).peer_id(), kA));
  const wire::SignedRecord relayed = sign_record(identity::identity_of(2), record);
  record.load.state = proto::NodeState::kOffline;
  record.addresses.clear();
  record.offer.span = {0, 0};
  const wire::SignedRecord empty = sign_record(identity::identity_of(1), record);
  records.add("whole", step(1, online.SerializeAsString()));
  records.add("payload", step(0, online.payload()));
  records.add("relayed", step(0, relayed.payload()));
  records.add("newer", step(0, online.payload()) + step(0, offline.payload()));
  records.add("older", step(0, offline.payload()) + step(8, online.payload()));
  records.add("two_owners", step(0, online.payload()) + step(2, empty.payload()));
  records.add("handed_over",
              step(4, online.payload()) + step(8, offline.payload()) + step(4, online.payload()));
  records.add("wrong_key", step(16, online.payload()));
  records.add("known_wrong_key", step(4, online.payload()) + step(20, online.payload()));

  Corpus addresses(folder, "dht_address");
  proto::Endpoint v6;
  v6.address = {0x20, 0x01, 0x0d, 0xb8};
  v6.port = 7000;
  addresses.add("v4", proto::encode_endpoint(kA));
  addresses.add("public", proto::encode_endpoint(proto::Endpoint::v4({93, 184, 216, 34}, 443)));
  addresses.add("v6", proto::encode_endpoint(v6));
  const proto::PeerId relay = identity::identity_of(7).peer_id();
  const proto::Endpoint v4 = proto::Endpoint::v4({93, 184, 216, 34}, 443);
  addresses.add("direct_v4", proto::encode_address(v4));
  addresses.add("direct_v6", proto::encode_address(v6));
  addresses.add("relayed_v4", proto::encode_address(proto::Address::through(relay, v4)));
  addresses.add("relayed_v6", proto::encode_address(proto::Address::through(relay, v6)));
  addresses.add("later_kind", "\3" + proto::encode_endpoint(v4));
  addresses.add("mapped", std::string(10, '\0') + std::string("\xff\xff\x0a\0\0\1\x1b\x58", 8));
}

}  // namespace
}  // namespace shoal::dht

int main(int argc, char** argv) {
  constexpr const char* kUsage = "usage: dht-corpus FOLDER   (tests/fuzz/corpus)\n";
  const std::string_view folder = argc == 2 ? argv[1] : "";
  if (folder == "--help" || folder == "-h") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (folder.empty() || folder.front() == '-') {
    std::fputs(kUsage, stderr);
    return 2;
  }
  shoal::sim::choose_crypto(shoal::sim::Crypto::kModel);  // as the targets that read packets
  shoal::dht::write(folder);
  return 0;
}
