// SPDX-License-Identifier: Apache-2.0
// Questions and replies: one round trip with a peer whose key is known, without a session. The
// asker stays unnamed; the answerer proves its key by the reply and remembers only a shared secret.
// Asker and Answerer are the two sides' state, bounded. No I/O; one thread at a time.
// docs/protocol-dht.md, packets 5 and 6.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/packet.h"
#include "dht/recent.h"
#include "dht/session_keys.h"

namespace shoal::dht {

struct PublicKeyHash {
  std::size_t operator()(const identity::PublicKey& key) const { return absl::HashOf(key.bytes); }
};

class Asker {
 public:
  struct Open {
    Contact to;
    std::string message;  // to ask again when challenged
    identity::Bytes32 reply_key;
    Echo echo;
    TimePoint asked;
    bool repeated = false;  // after a challenge, which happens once
  };

  Asker(const SessionConfig& config, const identity::Bytes32& swarm_secret,
        identity::Random& random);
  ~Asker();
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  // The unsealed datagram of a question, which is then open; nullopt: too many are, or the key of
  // `to` is none. Without a proof of our address it is padded so that an answer of `answer_bytes`
  // is at most three times as long.
  std::optional<std::string> ask(const Contact& to, std::string_view message,
                                 const std::optional<Cookie>& proof, std::size_t answer_bytes,
                                 bool repeated, TimePoint now);
  // The open question that a packet from `from` answers.
  const Open* find(const Echo& echo, const proto::Endpoint& from, TimePoint now) const;
  Open take(const Open& open);

  std::size_t open_count() const { return open_.size(); }
  std::size_t key_count() const { return keys_.size(); }

 private:
  void renew(TimePoint now);
  void expire(TimePoint now);

  const SessionConfig& config_;
  const identity::Bytes32& swarm_secret_;
  identity::Random random_;
  identity::Bytes32 secret_{};  // of the exchange key in use
  identity::Bytes32 ephemeral_{};
  std::optional<TimePoint> renewed_;
  RecentMap<identity::PublicKey, QuestionKeys, PublicKeyHash> keys_;
  absl::flat_hash_map<std::uint64_t, Open> open_;  // by the first bytes of the echo
  std::deque<std::uint64_t> order_;                // oldest first
};

class Answerer {
 public:
  Answerer(const SessionConfig& config, const identity::Bytes32& swarm_secret,
           const identity::Identity& self);
  ~Answerer();
  Answerer(const Answerer&) = delete;
  Answerer& operator=(const Answerer&) = delete;

  struct Question {
    std::string message;
    identity::Bytes32 reply_key;
  };
  // nullopt: nobody made it for us.
  std::optional<Question> open(const QuestionPacket& packet, TimePoint now);
  // The X25519 form of our identity, also for handshakes.
  const identity::Bytes32& exchange_secret() const { return exchange_secret_; }
  std::size_t key_count() const { return keys_.size(); }

 private:
  struct KeyHash {
    std::size_t operator()(const identity::Bytes32& key) const { return absl::HashOf(key); }
  };

  const identity::Bytes32& swarm_secret_;
  const identity::PublicKey self_;
  identity::Bytes32 exchange_secret_;
  RecentMap<identity::Bytes32, QuestionKeys, KeyHash> keys_;
};

}  // namespace shoal::dht
