// SPDX-License-Identifier: Apache-2.0
// Requests in flight: their ids, deadlines and what they were for. Value class, no clock, no I/O,
// bounded. A request is first late (most answers would have come: the caller may hedge), then
// overdue (its peer is suspect), then it fails; answers count until then. Round trips are learned
// from the answers.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "identity/random.h"

namespace shoal::dht {

struct Purpose {
  enum class Kind {
    kPing,
    kLookup,
    kPage,
    kStore,
    kHandover,
    kBootstrap,
    kIntroduction,
    kDialBack,  // that we asked for; `operation` is its token
    kDial,      // passed on to a third peer; `operation` names who asked
    kDialPing,  // made for somebody
  };
  Kind kind = Kind::kPing;
  std::uint64_t operation = 0;
  std::uint32_t cursor = 0;  // kPage: the page asked for
  bool repeat = false;       // kLookup: asked before, so that its failure says nothing new
};

class Requests {
 public:
  struct Request {
    std::uint64_t id = 0;
    Contact to;             // peer all zero when only the address is known
    std::uint8_t type = 0;  // of the message, for statistics
    Purpose purpose;
    std::string bytes;
    int resends = 0;  // how often it is sent again when overdue, without asking anybody
    // Nobody does anything when it is late: it is not told, nor, once it will not be sent again,
    // when it is overdue.
    bool patient = false;
    bool late = false;  // has been late since it was last sent
    bool handshake =
        false;            // had no session when it was sent: its first answer takes two round trips
    bool resent = false;  // its answer says nothing about the round trip
    // May go as a question, which tells nobody who asks: a Find or Ping that is not meant to make
    // us known.
    bool anonymous = false;
    bool asked = false;            // went as a question: a lost session does not matter to it
    std::size_t answer_bytes = 0;  // what its answer may need, at most
    TimePoint sent, hard, next;
  };

  Requests(const RequestConfig& config, identity::Random& random);

  std::uint64_t new_id();
  // False when the table is full.
  bool add(Request request, TimePoint now);
  // The request that an answer from `from` belongs to, removed; nullopt if there is none.
  std::optional<Request> take(std::uint64_t id, const Contact& from, TimePoint now);

  struct Due {
    enum class Stage { kLate, kOverdue, kFailed };
    Request request;
    Stage stage = Stage::kLate;
  };
  std::optional<Due> poll_due(TimePoint now);
  void resend(std::uint64_t id, TimePoint now);  // the caller sent it again
  void asked(std::uint64_t id);                  // it went as a question
  const Request* find(std::uint64_t id) const;
  std::vector<Request> to(const Contact& contact) const;

  std::optional<TimePoint> next_timeout() const;
  // When an answer of this peer counts as late; with a handshake, which takes a round trip more.
  Duration late_after(const proto::PeerId& peer, bool handshake) const;
  std::size_t size() const { return requests_.size(); }
  std::uint64_t answered() const { return answered_; }
  std::uint64_t failed() const { return failed_; }

 private:
  // What is known of one peer's round trips: mean and mean deviation, as TCP's (RFC 6298).
  struct Peer {
    std::uint32_t tag = 0;
    float mean_ms = 0, deviation_ms = 0;
  };

  void set_next(Request& request, TimePoint when);
  void sent(Request& request, TimePoint now);
  void learn(const proto::PeerId& peer, Duration round_trip);
  std::size_t place_of(const proto::PeerId& peer) const;

  const RequestConfig config_;
  identity::Random random_;
  std::map<std::uint64_t, Request> requests_;
  std::set<std::pair<TimePoint, std::uint64_t>> deadlines_;
  std::array<Duration, 64> round_trips_{};  // the latest, of all peers
  std::size_t samples_ = 0;
  Duration usual_;           // nine in ten of them were shorter
  std::vector<Peer> peers_;  // by hash of the id; a newer one takes an older one's place
  std::uint64_t answered_ = 0, failed_ = 0;
};

}  // namespace shoal::dht
