// SPDX-License-Identifier: Apache-2.0
// Keeps this node reachable through relays: parks connections at two of them, one of each from our
// own port, and gives the front those on which somebody called. The shell of
// node/member/relay_choice. Thread rule: the net thread, as RelayRung says. Owns the parked
// connections. docs/protocol-relay.md.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "net/front.h"
#include "net/token_bucket.h"
#include "node/member/parked_line.h"
#include "node/member/relay_choice.h"
#include "node/member/relay_rung.h"

namespace shoal::node {

class RelayKeeper final : public RelayRung {
 public:
  // Whom we know that may relay, best first. On the net thread.
  using Candidates = std::function<std::vector<RelayCandidate>()>;

  // `front` must outlive it. `port`: that we listen on.
  RelayKeeper(boost::asio::io_context& io, const identity::Identity& identity,
              const std::optional<identity::SwarmKey>& swarm_key, net::Front& front,
              std::uint16_t port, Candidates candidates);
  ~RelayKeeper() override;

  void start(std::function<void()> on_changed) override;
  void stop() override;
  std::vector<proto::Address> addresses() const override;
  std::vector<proto::Endpoint> anchors() const override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Line {
    std::shared_ptr<ParkedLine> connection;
    // Where the relay sees our port. Outlives the connection: what a caller has of it keeps the
    // router's mapping, and no other connection can leave from there to this relay meanwhile.
    std::optional<proto::Endpoint> anchor;
    Clock::time_point again{};  // when it may be dialled again, while there is none
    int failures = 0;           // in a row
  };
  struct Relay {
    RelayCandidate candidate;
    std::vector<Line> lines;
    bool took = false;
    // Callers that it sends us; each costs us a connection anew.
    net::TokenBucket starts;
  };

  void look();
  void dial(Relay& relay, std::size_t line);
  void parked(const proto::Endpoint& at, std::size_t line, const proto::PeerId& peer,
              const proto::Endpoint& observed, bool anchored);
  void called(const proto::Endpoint& at, std::size_t line, int socket,
              const proto::Endpoint& caller);
  void ended(const proto::Endpoint& at, std::size_t line, const absl::Status& why,
             std::chrono::milliseconds retry);
  void forget(const proto::Endpoint& at);
  Relay* find(const proto::Endpoint& at);
  void tell();

  boost::asio::io_context& io_;
  const proto::PeerId self_;
  const net::TlsContext tls_;
  net::Front& front_;
  const std::uint16_t port_;
  const Candidates candidates_;
  std::function<void()> on_changed_;
  bool is_on_ = false;
  RelayChoice choice_;
  std::vector<Relay> relays_;  // tried, spare and kept
  std::vector<proto::Address> told_;
  boost::asio::steady_timer timer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace shoal::node
