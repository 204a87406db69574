// SPDX-License-Identifier: Apache-2.0
// Holds the span that a node serves, and moves it while the node runs when the swarm needs that
// (node/member/rebalance.h decides): with memory for both the new span is loaded before the old one
// is left, else sessions drain, the old one is dropped, and the new one loaded. Thread rule: one
// thread (main) starts, tends and stops it; offer() and moves() are for any. Owns a thread while it
// loads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/stop_token.h"
#include "identity/random.h"
#include "node/entry.h"
#include "node/live_span.h"
#include "node/member/membership.h"
#include "node/member/rebalance.h"
#include "node/memory_promise.h"
#include "node/serve/span_service.h"

namespace shoal::node {

class SpanHolder {
 public:
  // All must outlive it. `stop`: ends loading early.
  SpanHolder(const NodeOptions& options, Membership& member, SpanService& service,
             MemoryPromise& memory, const base::StopToken& stop);
  ~SpanHolder();  // stop()
  SpanHolder(const SpanHolder&) = delete;
  SpanHolder& operator=(const SpanHolder&) = delete;

  // What the node says of itself, before it is loaded too.
  proto::Offer offer() const;
  void set_offer(const proto::Offer& offer);
  // Loads and serves it; waits.
  absl::Status start(LoadedModel model, Entry entry, ChosenDevices devices);
  // About once a second; waits for the directory, and no longer. An error: the node cannot go on.
  // may_move: begins to; a move that has begun goes on.
  absl::Status tend(std::chrono::steady_clock::time_point now, bool may_move);
  // Closed: the node takes no sessions, whatever it serves; whoever closes it says so to others.
  void close(bool closed) { closed_ = closed; }
  // Of what is served, from now on.
  void set_limits(std::uint32_t max_sessions, std::uint32_t max_sessions_per_peer);
  bool is_settled() const { return step_ == Step::kStay && left_ == nullptr; }
  // When all streams are gone, and nothing is announced any more. Idempotent.
  void stop();
  std::uint64_t moves() const { return moves_; }

 private:
  using Clock = std::chrono::steady_clock;
  using Loaded = absl::StatusOr<std::unique_ptr<LiveSpan>>;  // null: no room beside the old one
  enum class Step : std::uint8_t { kStay, kLoadBeside, kDrain, kLoadAlone, kLoadOldAgain };

  void look_at_the_swarm(Clock::time_point now);
  void begin(const Move& move, Clock::time_point now);
  absl::Status go_on(Clock::time_point now);
  void drain(Clock::time_point now);
  void drop_and_load(Clock::time_point now);
  absl::Status loaded_alone(Loaded loaded, Clock::time_point now);
  void loaded_beside(Loaded loaded, Clock::time_point now);
  void serve(std::unique_ptr<LiveSpan> span);
  void stay(const absl::Status& why, Clock::time_point now);
  void retire(Clock::time_point now);
  Loaded load_beside(proto::Span to);
  Loaded load_alone(Entry entry);
  template <typename Work>
  void in_background(Work work);
  void announce(proto::NodeState state, proto::Span moving_to = {});

  const NodeOptions& options_;
  Membership& member_;
  SpanService& service_;
  MemoryPromise& memory_;
  const base::StopToken& stop_;
  identity::Random random_;
  std::optional<Rebalance> rebalance_;  // absent: never moves
  std::vector<proto::Span> held_;       // runs of blocks that the node has, or can fetch
  Clock::time_point look_at_{};
  std::atomic<std::uint64_t> moves_ = 0;
  mutable base::Mutex mutex_;
  proto::Offer offer_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<LiveSpan> live_;
  std::unique_ptr<LiveSpan> left_;         // its sessions go on
  std::optional<LoadedModel> left_model_;  // of a span that was dropped for another
  Entry left_entry_;
  Step step_ = Step::kStay;
  bool closed_ = false;
  std::uint32_t max_sessions_, max_sessions_per_peer_;
  Move move_;
  Clock::time_point began_{}, deadline_{};
  std::future<Loaded> loading_;
};

}  // namespace shoal::node
