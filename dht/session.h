// SPDX-License-Identifier: Apache-2.0
// Everything between datagrams and messages. Encrypted sessions per (peer, endpoint), after
// discv5's shape: hello, challenge, signed handshake, messages; and questions, which need none.
// Departs from discv5: the challenge carries the challenger's key, so that an address alone is
// enough to begin, and cookies are verifiable without memory. No I/O; one thread at a time. Owns
// sessions, pending handshakes and caches, all bounded.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/cookie.h"
#include "dht/drops.h"
#include "dht/endpoint_hash.h"
#include "dht/limiter.h"
#include "dht/packet.h"
#include "dht/questions.h"
#include "dht/recent.h"
#include "dht/replay_window.h"
#include "dht/session_keys.h"

namespace shoal::dht {

class Sessions {
 public:
  enum class Via : std::uint8_t { kSession, kQuestion, kReply };
  using Id = std::uint64_t;
  struct Delivery {
    Contact from;  // of a question only the endpoint, which may be a lie
    std::string message;
    bool new_session = false;  // this message came with a handshake: the peer may have restarted
    Via via = Via::kSession;
    Id session{};                        // that it came in
    std::size_t room = kMaxAnswerBytes;  // bytes that an answer may have
    Echo echo{};                         // of a question, with the key of its reply
    identity::Bytes32 reply_key{};
  };

  Sessions(const identity::Identity& self, const std::optional<identity::SwarmKey>& swarm_key,
           const SessionConfig& config, bool client_mode, identity::Random& random);

  // Encrypts on the newest session; else begins one: with the handshake at once when a proof of our
  // address is at hand, or with a hello, and the message waits. A zero peer means whoever is at
  // `to`. Messages beyond the bounds are dropped: the caller's time-out covers that as it covers
  // loss.
  void send(const Contact& to, std::string_view message, TimePoint now);
  // As a question, without a session, in one round trip; `answer_bytes` is what the answer may
  // need. False when that cannot be: the key of `to` is unknown, or too many questions are open.
  bool ask(const Contact& to, std::string_view message, std::size_t answer_bytes, TimePoint now);
  // Answers what was delivered, the way it came, with at most `room` bytes.
  void respond(const Delivery& to, std::string_view message, TimePoint now);

  std::optional<Delivery> receive(std::string_view datagram, const proto::Endpoint& from,
                                  TimePoint now);

  std::optional<Datagram> poll_transmit();
  // A peer that forgot our session and is being greeted again: what is in flight to it must be sent
  // again.
  std::optional<Contact> poll_lost();

  bool has_session(const Contact& to) const { return newest(to) != nullptr; }
  // Whether send() needs one round trip to an answer, not two.
  bool is_direct(const Contact& to, TimePoint now);
  std::size_t session_count() const { return sessions_.size(); }
  std::size_t pending_count() const { return pending_.size(); }
  std::size_t proof_count() const { return proofs_.size(); }
  std::size_t open_questions() const { return asker_.open_count(); }
  const Asker& asker() const { return asker_; }
  const Answerer& answerer() const { return answerer_; }
  const Limiter& limiter() const { return limiter_; }
  const DropCounts& drops() const { return drops_; }
  std::uint64_t dropped() const { return drops_.total(); }

 private:
  struct Session {
    Id id = 0;  // in packets we receive
    Contact remote;
    identity::Bytes32 send_key, receive_key;
    Id send_id = 0;
    std::uint64_t send_counter = 0;
    ReplayWindow window;
    TimePoint full_at{};  // its peer's bucket in the limiter
    // The peer has spoken on it. Until then a challenge need not mean that the peer has no such
    // session: a message may have overtaken the handshake.
    bool confirmed = false;
    bool challenged = false;  // so the next send begins anew, with the proof that came along
  };
  using Position = std::list<Session>::iterator;
  // A peer's proof that it sees us at our address, good for a handshake.
  struct Proof {
    identity::PublicKey key;
    Cookie cookie;
    TimePoint received;
  };
  struct Pending {
    Echo hello{};
    TimePoint started, last_hello;
    std::optional<Proof> proof;  // already here when a peer forgot a session
    std::deque<std::string> queue;
  };

  // session.cc
  void transmit(const proto::Endpoint& to, std::string datagram);  // which it seals
  void drop(Drop reason) { drops_.add(reason); }
  void send_on(Session& session, std::string_view message);
  void greet(const Contact& to, Pending& pending, TimePoint now);
  void challenge(const proto::Endpoint& to, const Echo& echo, TimePoint now);
  void begin(const proto::Endpoint& at, const Proof& proof, std::string_view message);
  void complete(const proto::Endpoint& at, const Pending& pending, const Proof& proof);
  Session& add(const Contact& remote, const SessionKeys& keys, bool initiator);
  void remove(Position session);
  Session* newest(const Contact& to) const;
  bool replayed(std::string_view datagram);
  void expire_pending(TimePoint now);
  // A proof for `to`, or none. Valid until the next call.
  const Proof* proof(const Contact& to, TimePoint now);

  void on_hello(const HelloPacket& packet, std::string_view datagram, const proto::Endpoint& from,
                TimePoint now);
  void on_challenge(const ChallengePacket& packet, const proto::Endpoint& from, TimePoint now);
  std::optional<Delivery> on_handshake(const HandshakePacket& packet, const proto::Endpoint& from,
                                       TimePoint now);
  std::optional<Delivery> on_message(const MessagePacket& packet, std::string_view datagram,
                                     const proto::Endpoint& from, TimePoint now);

  // session_questions.cc
  bool ask(const Contact& to, std::string_view message, std::size_t answer_bytes, bool repeated,
           TimePoint now);
  bool on_question_challenged(const ChallengePacket& packet, const proto::Endpoint& from,
                              TimePoint now);
  std::optional<Delivery> on_question(const QuestionPacket& packet, std::string_view datagram,
                                      const proto::Endpoint& from, TimePoint now);
  std::optional<Delivery> on_reply(const ReplyPacket& packet, const proto::Endpoint& from,
                                   TimePoint now);
  void remember(const proto::Endpoint& at, const identity::PublicKey& key, const Cookie& cookie,
                TimePoint now);

  const identity::Identity& self_;
  const SessionConfig config_;
  const bool client_mode_;
  identity::Random random_;
  const Seal seal_;
  const identity::Bytes32 swarm_secret_;
  CookieJar cookies_;
  Limiter limiter_;
  Asker asker_;
  Answerer answerer_;

  std::list<Session> sessions_;  // least recently used first
  absl::flat_hash_map<Id, Position> by_id_;
  absl::flat_hash_map<proto::Endpoint, std::vector<Position>, EndpointHash>
      by_endpoint_;  // oldest first
  std::map<Contact, Pending> pending_;
  RecentMap<proto::Endpoint, Proof, EndpointHash> proofs_;
  RecentSet seen_nonces_;
  std::deque<Datagram> transmits_;
  std::deque<Contact> lost_;
  DropCounts drops_;
};

}  // namespace shoal::dht
