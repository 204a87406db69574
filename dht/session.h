// SPDX-License-Identifier: Apache-2.0
// Encrypted sessions per (peer, endpoint), after discv5's shape: hello, challenge, signed
// handshake, messages. Departs from discv5: the challenge carries the challenger's key, so that an
// address alone is enough to begin, and a challenge is verifiable without memory. No I/O; one
// thread at a time. Owns sessions and pending handshakes, bounded.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/cookie.h"
#include "dht/packet.h"
#include "dht/replay_window.h"
#include "dht/session_keys.h"

namespace shoal::dht {

class Sessions {
 public:
  struct Delivery {
    Contact from;
    std::string message;
    bool new_session = false;  // this message came with a handshake: the peer may have restarted
  };

  Sessions(const Identity& self, const std::optional<SwarmKey>& swarm_key,
           const SessionConfig& config, bool client_mode, Random& random);

  // Encrypts on the newest session, or begins a handshake and queues. A zero peer means whoever is
  // at `to`. Messages beyond the bounds are dropped: the caller's time-out covers that as it covers
  // loss.
  void send(const Contact& to, std::string message, TimePoint now);
  std::optional<Delivery> receive(std::string_view datagram, const proto::Endpoint& from,
                                  TimePoint now);

  std::optional<Datagram> poll_transmit();
  // A peer that forgot our session and is being greeted again: what is in flight to it must be sent
  // again.
  std::optional<Contact> poll_lost();

  bool has_session(const Contact& to) const { return newest(to) != nullptr; }
  std::size_t session_count() const { return sessions_.size(); }
  std::size_t pending_count() const { return pending_.size(); }
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Session {
    Contact remote;
    std::array<std::uint8_t, 32> send_key, receive_key;
    std::uint64_t send_id = 0;
    std::uint64_t send_counter = 0;
    std::uint64_t last_used = 0;  // position in the order of use
    ReplayWindow window;
  };
  struct Pending {
    Echo hello{};
    TimePoint started, last_hello;
    std::optional<ChallengePacket> challenge;  // already here when a peer forgot a session
    std::deque<std::string> queue;
  };
  using Id = std::uint64_t;

  void transmit(const proto::Endpoint& to, std::string_view plain);
  void drop() { ++dropped_; }
  void send_on(Session& session, std::string_view message);
  void greet(const Contact& to, Pending& pending, TimePoint now);
  void challenge(const proto::Endpoint& to, const Echo& echo, TimePoint now);
  void complete(const Contact& asked, Pending pending, const ChallengePacket& challenge);
  Id add(const Contact& remote, const SessionKeys& keys, bool initiator);
  void remove(Id id);
  void touch(Id id, Session& session);
  const Session* newest(const Contact& to) const;
  bool replayed(std::string_view datagram);
  void expire_pending(TimePoint now);

  void on_hello(const HelloPacket& packet, std::string_view datagram, const proto::Endpoint& from,
                TimePoint now);
  void on_challenge(const ChallengePacket& packet, const proto::Endpoint& from, TimePoint now);
  std::optional<Delivery> on_handshake(const HandshakePacket& packet, const proto::Endpoint& from,
                                       TimePoint now);
  std::optional<Delivery> on_message(const MessagePacket& packet, std::string_view datagram,
                                     const proto::Endpoint& from, TimePoint now);

  const Identity& self_;
  const SessionConfig config_;
  const bool client_mode_;
  Random random_;
  const Seal seal_;
  const std::array<std::uint8_t, 32> swarm_secret_;
  CookieJar cookies_;

  std::map<Id, Session> sessions_;                          // by the id in packets we receive
  std::map<proto::Endpoint, std::vector<Id>> by_endpoint_;  // oldest first
  std::map<std::uint64_t, Id> by_use_;
  std::uint64_t use_clock_ = 0;
  std::map<Contact, Pending> pending_;
  std::set<std::array<std::uint8_t, kSealNonceBytes>> seen_nonces_;
  std::deque<std::array<std::uint8_t, kSealNonceBytes>> seen_order_;
  std::deque<Datagram> transmits_;
  std::deque<Contact> lost_;
  std::uint64_t dropped_ = 0;
};

}  // namespace shoal::dht
