// SPDX-License-Identifier: Apache-2.0
// The whole core against a peer that speaks the protocol properly and says what the fuzzer wants:
// requests in a session and as questions, and answers to everything that the core asks. Input:
// whether the core is a client; then steps, each a byte and a chunk.
#include <deque>

#include "dht/kademlia.h"
#include "tests/fuzz/dht_peer.h"
#include "tests/sim/model_primitives.h"

namespace {

using namespace shoal;
using namespace shoal::dht;

// Ten times as many inputs; libsodium is not what is sought for faults.
const bool kModel = (sim::choose_crypto(sim::Crypto::kModel), true);

enum Step : std::uint8_t {
  kInSession,
  kAsQuestion,
  kFind,
  kPublish,
  kAnswer,
  kWait,
  kRaw,
  kBootstrap,
  kSteps
};

class World {
 public:
  explicit World(bool client)
      : core_(config(client), victim_identity(), identity::Random(2).bytes<32>(), now_),
        random_(1),
        peer_(peer_identity(), std::nullopt, SessionConfig{}, false, random_) {}

  void step(Step step, std::string_view bytes) {
    const std::string text(bytes.substr(0, kMaxRequestBytes));
    switch (step) {
      case kInSession:
        peer_.send(contact_of(victim_identity(), kVictimAt), text, now_);
        break;
      case kAsQuestion:
        peer_.ask(contact_of(victim_identity(), kVictimAt), text, kMaxReplyBytes, now_);
        break;
      case kFind:
        core_.find(models_key({}), now_);
        break;
      case kPublish:
        core_.publish(record(), keys_of({}, *decode_record(record())), now_);
        break;
      case kAnswer:
        answer(bytes);
        break;
      case kWait:
        now_ += milliseconds(bytes.empty() ? 1 : 10 * static_cast<std::uint8_t>(bytes[0]));
        pass_time();
        break;
      case kRaw:
        core_.handle_datagram(sealed(bytes), kElsewhere, now_);
        break;
      case kBootstrap:
        core_.bootstrap({kPeerAt}, seconds(2), now_);
        break;
      case kSteps:
        break;
    }
    carry();
  }

  // Everything that began ends, whatever was said.
  void finish() {
    for (int i = 0; i < 400 && core_.stats().operations > 0; ++i) {
      now_ += milliseconds(100);
      pass_time();
      carry();
    }
    CHECK(core_.stats().operations <= 1) << "an operation never ended";  // a refresh may run
  }

 private:
  static KademliaConfig config(bool client) {
    KademliaConfig config;
    config.client_mode = client;
    return config;
  }
  static const wire::SignedRecord& record() {
    static const wire::SignedRecord record = [] {
      Record fields;
      fields.sequence = 1;
      fields.ttl_ms = 60'000;
      fields.load.state = proto::NodeState::kOnline;
      fields.offer.block_count = 4;
      fields.offer.span = {0, 2};
      return sign_record(victim_identity(), fields);
    }();
    return record;
  }

  void pass_time() {
    for (int i = 0; i < 1000; ++i) {
      const auto next = core_.next_timeout();
      if (!next || *next > now_) return;
      core_.handle_timeout(now_);
    }
    CHECK(false) << "its timer never rests";
  }

  // To the oldest request that waits, with its id.
  void answer(std::string_view bytes) {
    if (asked_.empty()) return;
    const Sessions::Delivery request = asked_.front();
    asked_.pop_front();
    wire::DhtMessage message, question;
    std::string text(bytes);
    if (message.ParseFromString(text) && question.ParseFromString(request.message)) {
      message.set_request_id(question.request_id());
      text = message.SerializeAsString();
    }
    peer_.respond(request, text.substr(0, request.room), now_);
  }

  void carry() {
    for (int rounds = 0; rounds < 50; ++rounds) {
      bool busy = false;
      while (const auto datagram = core_.poll_transmit()) {
        CHECK(datagram->bytes.size() <= 1200);
        CHECK(datagram->to.is_usable());
        if (datagram->to != kPeerAt) continue;
        busy = true;
        auto got = peer_.receive(datagram->bytes, kVictimAt, now_);
        if (got && asked_.size() < 16) asked_.push_back(*std::move(got));
      }
      while (const auto datagram = peer_.poll_transmit()) {
        busy = true;
        core_.handle_datagram(datagram->bytes, kPeerAt, now_);
      }
      while (core_.poll_event()) {
      }
      if (!busy) break;
    }
    const KademliaStats stats = core_.stats();
    CHECK(stats.contacts <= 2000 && stats.sessions <= 4 && stats.in_flight <= 4096);
    CHECK(stats.records <= 64);
  }

  TimePoint now_ = kStart;
  Kademlia core_;
  identity::Random random_;
  Sessions peer_;
  std::deque<Sessions::Delivery> asked_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  World world(input.byte() % 2 == 1);
  for (int i = 0; i < 24 && !input.empty(); ++i) {
    const auto step = static_cast<Step>(input.byte() % kSteps);
    world.step(step, input.chunk());
  }
  world.finish();
  return 0;
}
