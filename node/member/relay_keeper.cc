// SPDX-License-Identifier: Apache-2.0
#include "node/member/relay_keeper.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dht/diversity.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

// Whom we know is asked for so often, while a relay is wanted and else.
constexpr auto kLookWanted = milliseconds(500);
constexpr auto kLookElse = milliseconds(15'000);
// A parked connection that was lost beside others that are there, doubled with each failure.
constexpr auto kLineRetry = milliseconds(500);
constexpr int kMostDoublings = 6;
// Callers of one relay: all that may be connected with us at once, and then as fast as a relay lets
// four of them call. Each costs both ends a handshake.
constexpr net::Rate kStartsOfRelay{proto::kMaxTunnelsPerTarget, 4 * proto::kTunnelCallsPerSecond};
// The connection of a relay that leaves from our own port.
constexpr std::size_t kAnchorLine = 1;

}  // namespace

RelayKeeper::RelayKeeper(boost::asio::io_context& io, const identity::Identity& identity,
                         const std::optional<identity::SwarmKey>& swarm_key, net::Front& front,
                         std::uint16_t port, Candidates candidates)
    : io_(io),
      self_(identity.peer_id()),
      tls_(identity::make_certificate(identity, swarm_key), swarm_key),
      front_(front),
      port_(port),
      candidates_(std::move(candidates)),
      timer_(io) {}

RelayKeeper::~RelayKeeper() { stop(); }

void RelayKeeper::start(std::function<void()> on_changed) {
  on_changed_ = std::move(on_changed);
  if (std::exchange(is_on_, true)) return;
  look();
}

void RelayKeeper::stop() {
  if (!std::exchange(is_on_, false)) return;
  timer_.cancel();
  for (Relay& relay : relays_) {
    for (Line& line : relay.lines) {
      if (line.connection) line.connection->cancel();
    }
  }
  relays_.clear();
  choice_ = {};
  told_.clear();
  on_changed_ = nullptr;
}

std::vector<proto::Address> RelayKeeper::addresses() const {
  std::vector<proto::Address> result;
  for (const RelayChoice::Relay& relay : choice_.relays()) {
    result.push_back(proto::Address::through(relay.peer, relay.at));
  }
  return result;
}

std::vector<proto::Endpoint> RelayKeeper::anchors() const {
  std::vector<proto::Endpoint> result;
  for (const Relay& relay : relays_) {
    for (const Line& line : relay.lines) {
      if (line.anchor) result.push_back(*line.anchor);
    }
  }
  return result;
}

// Everything that is due now; comes again by itself.
void RelayKeeper::look() {
  if (!is_on_) return;
  const auto now = Clock::now();
  std::vector<RelayCandidate> candidates = candidates_();
  // Where a router sends us back to ourselves, that is no relay either.
  const std::vector<proto::Endpoint> own = anchors();
  std::erase_if(candidates, [&](const RelayCandidate& one) {
    return one.peer == self_ || std::ranges::find(own, one.at) != own.end();
  });
  choice_.learn(candidates);
  for (const RelayCandidate& candidate : choice_.due(now)) {
    relays_.push_back({candidate, std::vector<Line>(proto::kParkedPerRelay), false,
                       net::TokenBucket(kStartsOfRelay, now)});
    dial(relays_.back(), 0);
  }
  auto next_line = Clock::time_point::max();
  for (const RelayChoice::Relay& kept : choice_.relays()) {
    Relay* relay = find(kept.at);
    for (std::size_t line = 0; relay != nullptr && line < relay->lines.size(); ++line) {
      if (relay->lines[line].connection) continue;
      next_line = std::min(next_line, relay->lines[line].again);
      if (now >= relay->lines[line].again) dial(*relay, line);
    }
  }
  for (const proto::Endpoint& at : choice_.surplus(now)) forget(at);
  tell();
  const bool wanted = choice_.relays().size() < proto::kRelaysOfNode;
  auto next = now + (wanted ? kLookWanted : kLookElse);
  if (const auto due = choice_.next(now)) next = std::min(next, std::max(*due, now + kLookWanted));
  if (next_line > now) next = std::min(next, next_line);
  timer_.expires_at(next);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) look();
  });
}

RelayKeeper::Relay* RelayKeeper::find(const proto::Endpoint& at) {
  const auto found =
      std::ranges::find_if(relays_, [&](const Relay& relay) { return relay.candidate.at == at; });
  return found == relays_.end() ? nullptr : &*found;
}

void RelayKeeper::dial(Relay& relay, std::size_t line) {
  const proto::Endpoint at = relay.candidate.at;
  ParkedLine::Hooks hooks;
  hooks.parked = [this, at, line](const proto::PeerId& peer, const proto::Endpoint& observed,
                                  bool anchored) { parked(at, line, peer, observed, anchored); };
  hooks.called = [this, at, line](int socket, const proto::Endpoint& caller) {
    called(at, line, socket, caller);
  };
  hooks.ended = [this, at, line](const absl::Status& why, milliseconds retry) {
    ended(at, line, why, retry);
  };
  const auto port = line == kAnchorLine ? std::optional(port_) : std::nullopt;
  relay.lines[line].connection =
      std::make_shared<ParkedLine>(io_, tls_, relay.candidate, port, std::move(hooks));
  relay.lines[line].connection->start();
}

void RelayKeeper::parked(const proto::Endpoint& at, std::size_t line, const proto::PeerId& peer,
                         const proto::Endpoint& observed, bool anchored) {
  Relay* relay = find(at);
  relay->candidate.peer = peer;
  relay->lines[line].failures = 0;
  // It cannot know of our network what it is not in, and must not make us dial there.
  if (anchored && dht::may_tell(at, observed)) relay->lines[line].anchor = observed;
  if (relay->took) return;
  relay->took = true;
  if (peer == self_) {  // one of our own addresses
    choice_.failed(at, milliseconds(proto::kMaxTunnelRetryMs), Clock::now());
    return forget(at);
  }
  choice_.took(at, peer, Clock::now());
  look();
}

void RelayKeeper::called(const proto::Endpoint& at, std::size_t line, int socket,
                         const proto::Endpoint& caller) {
  Relay* relay = find(at);
  // A private address that a relay beyond our network tells is nobody's that we could dial.
  front_.add(socket, dht::may_tell(at, caller) ? caller : at, relay->candidate.peer);
  relay->lines[line].connection.reset();
  const auto now = Clock::now();
  relay->lines[line].again = relay->starts.charge(now, 1);
  if (relay->lines[line].again <= now) return dial(*relay, line);
  look();
}

void RelayKeeper::ended(const proto::Endpoint& at, std::size_t line, const absl::Status& why,
                        milliseconds retry) {
  const auto now = Clock::now();
  Relay* relay = find(at);
  Line& ended = relay->lines[line];
  ended.connection.reset();
  ended.anchor.reset();
  ended.again = now + std::max<milliseconds>(
                          retry, kLineRetry * (1 << std::min(ended.failures, kMostDoublings)));
  ++ended.failures;
  if (!relay->took) {
    spdlog::debug("no relay at {}: {}", proto::to_string(at), std::string(why.message()));
    choice_.failed(at, retry, now);
    forget(at);
  } else if (std::ranges::none_of(relay->lines,
                                  [](const Line& one) { return one.connection != nullptr; })) {
    spdlog::info("the relay at {} is lost: {}", proto::to_string(at), std::string(why.message()));
    choice_.lost(at, now);
    forget(at);
  }
  look();
}

void RelayKeeper::forget(const proto::Endpoint& at) {
  Relay* relay = find(at);
  if (relay == nullptr) return;
  for (Line& line : relay->lines) {
    if (line.connection) line.connection->cancel();
  }
  std::erase_if(relays_, [&](const Relay& one) { return one.candidate.at == at; });
}

void RelayKeeper::tell() {
  std::vector<proto::Address> now = addresses();
  if (now == told_) return;
  told_ = std::move(now);
  if (told_.empty()) {
    spdlog::warn("no relay has this node at present; it looks for others");
  } else {
    spdlog::info("others reach this node {}",
                 absl::StrJoin(told_, " and ", [](std::string* out, const proto::Address& address) {
                   absl::StrAppend(out, proto::to_string(address));
                 }));
  }
  // Who is told may stop us.
  boost::asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired() && on_changed_) on_changed_();
  });
}

}  // namespace shoal::node
