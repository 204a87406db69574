// SPDX-License-Identifier: Apache-2.0
// One session on this hop: checks every step, hands it to the device, and sends what comes out to
// the next hop or to the client. Knows no gRPC: the streams behind it are links. Thread-safe; owns
// its place on the device, freed by close().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "node/account/session_log.h"
#include "node/device/refusal.h"
#include "node/device/scheduler.h"
#include "node/serve/links.h"
#include "node/serve/open_request.h"
#include "node/serve/serving.h"

namespace shoal::wire {
class Activation;
class Keep;
class Step;
}  // namespace shoal::wire

namespace shoal::node {

class ServiceBook;
struct StepInput;
struct StepOutput;

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Clock = std::chrono::steady_clock;

  // `key` is open on the device. Either link ends with the session; next is null on the last hop.
  Session(std::shared_ptr<const Serving> serving, const OpenRequest& open,
          const proto::PeerId& client, SessionKey key, std::shared_ptr<ClientLink> client_link);
  ~Session();
  void set_next(std::shared_ptr<NextLink> next);
  // Tells the book from now on what it does; once.
  void keep_account(ServiceBook& book);

  const proto::SessionId& id() const { return open_.session_id; }
  const proto::PeerId& client() const { return client_; }
  const Serving& serving() const { return *serving_; }

  // From the client's stream or the previous hop's. A step that may not run ends the session, with
  // the reason.
  void step(const wire::Step& step);
  void heartbeat(std::uint64_t nonce);
  // Pages to be kept for later sessions; what cannot be understood ends this one.
  void keep(const wire::Keep& keep);
  // Of the prefix that it was opened with: its first step may start there.
  std::uint32_t kept_positions() const { return kept_positions_; }
  // Whether the stream should be read on: not while the device's queue is nearly full and holds
  // steps of ours, nor (the previous hop's) while the next hop does not take what we have. The
  // session resumes the streams when it changes.
  bool wants_more_of_client() const;
  bool wants_more_of_previous() const;
  void next_took();  // the next hop took something

  // May `caller` push with this token? Compares in constant time.
  bool admits(const proto::PeerId& caller, const std::string& token) const;
  // The previous hop's stream; an earlier one is ended.
  void set_previous(std::shared_ptr<PreviousLink> previous);

  // The next hop is gone or refuses: tells the client whose fault it was.
  void next_failed(absl::StatusCode code, const std::string& reason);
  // Tells the client and closes.
  void fail(Refusal refusal);
  // The hop before us sent what cannot be understood.
  void previous_failed(const std::string& reason);
  // Frees every page, ends the links. Idempotent. Does not write to the client.
  void close();
  bool closed() const;
  Clock::time_point last_activity() const;
  SessionKey key() const { return key_; }
  Clock::time_point opened() const { return opened_; }
  std::optional<Clock::time_point> last_step() const;  // nullopt: none yet

 private:
  struct Ticket;  // what of a step is needed when it has run

  std::optional<Refusal> accept(const wire::Step& step);
  // The rows or token ids of a step, and what is wanted of them; all but the positions.
  absl::StatusOr<StepInput> input_of(const wire::Step& step) const;
  // A late message, of before the session ended or of before a replay.
  bool stale(const wire::Step& step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Refusal> check(const wire::Step& step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void step_done(const Ticket& ticket, const StepOutput& output);
  void answer(const Ticket& ticket, const StepOutput& output, ClientLink& client);
  void push(const Ticket& ticket, const StepOutput& output, NextLink& next);
  std::optional<wire::Activation> encoded(const Ticket& ticket, std::span<const float> x);
  void resume_streams();
  void shut(std::optional<Refusal> refusal);
  // Counts what was computed, and what is sent.
  void account_for(const Ticket& ticket) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void account_for_sent(std::uint64_t bytes);

  const std::shared_ptr<const Serving> serving_;
  const NodeFacts& facts_ = serving_->facts;
  const OpenRequest open_;
  const proto::PeerId client_;
  const SessionKey key_;
  DeviceThread& device_ = *serving_->device;
  const std::uint32_t kept_positions_;
  const Clock::time_point opened_ = Clock::now();

  std::atomic<std::uint64_t> bytes_out_ = 0;
  mutable base::Mutex mutex_;
  ServiceBook* book_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null: nobody keeps account
  SessionEnd account_ ABSL_GUARDED_BY(mutex_);           // what it did so far
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<std::uint64_t> last_step_id_ ABSL_GUARDED_BY(mutex_);
  std::uint32_t next_position_ ABSL_GUARDED_BY(mutex_) = 0;    // after all accepted steps
  std::uint64_t last_truncation_ ABSL_GUARDED_BY(mutex_) = 0;  // the last step that did
  Clock::time_point last_activity_ ABSL_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> last_step_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<ClientLink> client_link_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<NextLink> next_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<PreviousLink> previous_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::node
