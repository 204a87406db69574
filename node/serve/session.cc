// SPDX-License-Identifier: Apache-2.0
#include "node/serve/session.h"

#include <fmt/format.h>
#include <sodium/utils.h>

#include "node/account/service_book.h"
#include "node/device/device_thread.h"
#include "proto/activation.h"
#include "proto/printable.h"
#include "proto/scores.h"
#include "proto/span_service.pb.h"

namespace shoal::node {
namespace {

Refusal refuse(absl::StatusCode code, std::string reason) {
  return {.code = code, .reason = std::move(reason)};
}

// A client's stream also carries its heartbeats: it waits only when the next step would be refused.
constexpr double kClientShare = 0.875;
// The previous hop's does not: it waits early, and so does whoever sends to that hop.
constexpr double kPreviousShare = 0.5;
// Computed steps that the next hop has not taken, before we take no more from the hop before.
constexpr std::size_t kMostUntaken = 4 * proto::kMaxChunkBytes;

// What a peer says of a failure, in our log.
constexpr std::size_t kMaxLoggedReason = 160;

// What is looked at once: up to 64 KiB.
OpenRequest without_prefix(OpenRequest open) {
  open.prefix = {};
  return open;
}

std::string text(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

}  // namespace

struct Session::Ticket {
  std::uint64_t epoch = 0;
  std::uint64_t step_id = 0;
  std::uint32_t start_position = 0;
  std::uint32_t rows = 0;
  wire::ReturnRows return_rows = wire::RETURN_NONE;
  wire::ScoresWanted scores{};  // for the hops behind us

  static Ticket of(const wire::Step& step) {
    const std::size_t ids = step.token_ids().size() / sizeof(std::uint32_t);
    const std::size_t rows = ids > 0 ? ids : step.activation().rows();
    return {step.epoch(),          step.step_id(),
            step.start_position(), static_cast<std::uint32_t>(rows),
            step.return_rows(),    step.scores()};
  }
};

Session::Session(std::shared_ptr<const Serving> serving, const OpenRequest& open,
                 const proto::PeerId& client, SessionKey key,
                 std::shared_ptr<ClientLink> client_link)
    : serving_(std::move(serving)),
      open_(without_prefix(open)),
      client_(client),
      key_(key),
      kept_positions_(device_.position(key)),
      epoch_(open_.epoch),
      next_position_(kept_positions_),
      last_activity_(Clock::now()),
      client_link_(std::move(client_link)) {}

Session::~Session() { close(); }

void Session::set_next(std::shared_ptr<NextLink> next) {
  {
    const base::MutexLock lock(mutex_);
    if (!closed_) {
      next_ = std::move(next);
      return;
    }
  }
  next->end();
}

void Session::keep_account(ServiceBook& book) {
  {
    const base::MutexLock lock(mutex_);
    if (closed_) return;
    book_ = &book;
  }
  book.opened({short_name(open_.session_id), short_name(client_)}, opened_);
}

void Session::step(const wire::Step& step) {
  std::optional<Refusal> refusal = accept(step);
  if (!refusal) return;
  refusal->epoch = step.epoch();
  refusal->step_id = step.step_id();
  fail(std::move(*refusal));
}

bool Session::stale(const wire::Step& step) const { return closed_ || step.epoch() < epoch_; }

std::optional<Refusal> Session::accept(const wire::Step& step) {
  {
    const base::MutexLock lock(mutex_);
    last_activity_ = Clock::now();
    if (stale(step)) return std::nullopt;
  }
  // Up to a MiB: without the lock, for which the completer would have to wait.
  auto input = input_of(step);
  const std::uint64_t bytes = step.ByteSizeLong();

  const base::MutexLock lock(mutex_);
  account_.bytes_in += bytes;
  if (book_ != nullptr) book_->received(bytes);
  if (stale(step)) return std::nullopt;
  if (auto refusal = check(step)) return refusal;
  if (!input.ok()) return refuse(absl::StatusCode::kInvalidArgument, text(input.status()));

  const Ticket ticket = Ticket::of(step);
  auto refusal = device_.submit(key_, *std::move(input),
                                [self = shared_from_this(), ticket](const StepOutput& output) {
                                  self->step_done(ticket, output);
                                });
  if (refusal) return refusal;
  epoch_ = ticket.epoch;
  last_step_id_ = ticket.step_id;
  last_step_ = last_activity_;
  if (ticket.start_position < next_position_) last_truncation_ = ticket.step_id;
  next_position_ = ticket.start_position + ticket.rows;
  return std::nullopt;
}

absl::StatusOr<StepInput> Session::input_of(const wire::Step& step) const {
  const Ticket ticket = Ticket::of(step);
  StepInput input{.start_position = ticket.start_position, .rows = ticket.rows};
  if (open_.embed) {
    if (step.has_activation() || step.token_ids().empty()) {
      return absl::InvalidArgumentError(
          "the steps of this session have token ids, and no activation");
    }
    auto ids = proto::decode_ids(step.token_ids(), facts_.max_rows_per_step, facts_.vocabulary);
    if (!ids.ok()) return ids.status();
    input.ids = *std::move(ids);
  } else {
    if (!step.token_ids().empty()) {
      return absl::InvalidArgumentError(
          "a step has token ids, and the session was not opened for them");
    }
    auto rows =
        proto::decode_activation(step.activation(), facts_.hidden, facts_.max_rows_per_step);
    if (!rows.ok()) return rows.status();
    input.x = *std::move(rows);
  }
  // The last hop's to compute, and every hop's to refuse: nobody passes on what is too much.
  const bool returns = step.return_rows() != wire::RETURN_NONE;
  const bool is_last = !open_.next;
  if (returns && (step.has_scores() || open_.score)) {
    const std::uint32_t count = step.return_rows() == wire::RETURN_LAST ? 1 : ticket.rows;
    auto wanted = proto::from_wire(step.scores(), count, facts_.vocabulary);
    if (!wanted.ok()) return wanted.status();
    if (open_.score) {
      input.scores = {*std::move(wanted), step.return_rows() == wire::RETURN_LAST};
    }
  }
  if (step.has_scores() && (!returns || (is_last && !open_.score))) {
    return absl::InvalidArgumentError(
        returns ? "a step asks for scores, and the session was not opened for them"
                : "a step asks for scores, and for no rows to be scored");
  }
  return input;
}

std::optional<Refusal> Session::check(const wire::Step& step) const {
  if (last_step_id_ && step.step_id() <= *last_step_id_) {
    return refuse(
        absl::StatusCode::kInvalidArgument,
        fmt::format("step id {} follows {}: ids must increase", step.step_id(), *last_step_id_));
  }
  if (step.return_rows() < wire::RETURN_NONE || step.return_rows() > wire::RETURN_ALL) {
    return refuse(
        absl::StatusCode::kInvalidArgument,
        fmt::format("return_rows {} is not known here", static_cast<int>(step.return_rows())));
  }
  if (step.start_position() > next_position_) {
    return refuse(absl::StatusCode::kOutOfRange,
                  fmt::format("a step at position {} leaves a gap: the session is at {}",
                              step.start_position(), next_position_));
  }
  const std::uint32_t rows = Ticket::of(step).rows;
  if (std::uint64_t{step.start_position()} + rows > open_.max_positions) {
    return refuse(
        absl::StatusCode::kOutOfRange,
        fmt::format(
            "a step of {} rows at position {} goes beyond the {} positions that were asked for",
            rows, step.start_position(), open_.max_positions));
  }
  return std::nullopt;
}

void Session::step_done(const Ticket& ticket, const StepOutput& output) {
  if (!output.status.ok()) {
    return fail({.code = output.status.code(),
                 .reason = text(output.status),
                 .epoch = ticket.epoch,
                 .step_id = ticket.step_id});
  }
  std::shared_ptr<ClientLink> client;
  std::shared_ptr<NextLink> next;
  {
    const base::MutexLock lock(mutex_);
    if (closed_) return;
    account_for(ticket);
    client = client_link_;
    next = next_;
  }
  // The result first: it is what others wait for.
  if (open_.next) {
    push(ticket, output, *next);
  } else if (ticket.return_rows != wire::RETURN_NONE) {
    answer(ticket, output, *client);
  }
  wire::HopFrame frame;
  wire::Ack& ack = *frame.mutable_ack();
  ack.set_epoch(ticket.epoch);
  ack.set_step_id(ticket.step_id);
  ack.set_position(ticket.start_position + ticket.rows);
  ack.set_queue_us(output.queue_us);
  ack.set_compute_us(output.compute_us);
  client->send(std::move(frame));
  resume_streams();
}

bool Session::wants_more_of_client() const { return !device_.crowded(key_, kClientShare); }

bool Session::wants_more_of_previous() const {
  if (device_.crowded(key_, kPreviousShare)) return false;
  const base::MutexLock lock(mutex_);
  return next_ == nullptr || next_->queued_bytes() < kMostUntaken;
}

void Session::next_took() { resume_streams(); }

void Session::resume_streams() {
  std::shared_ptr<ClientLink> client;
  std::shared_ptr<PreviousLink> previous;
  {
    const base::MutexLock lock(mutex_);
    client = client_link_;
    previous = previous_;
  }
  if (client) client->resume();
  if (previous) previous->resume();
}

std::optional<wire::Activation> Session::encoded(const Ticket& ticket, std::span<const float> x) {
  auto activation = proto::encode_activation(
      x, static_cast<std::uint32_t>(x.size() / facts_.hidden), facts_.hidden, open_.codec);
  if (activation.ok()) return std::move(*activation);
  fail({.code = activation.status().code(),
        .reason = text(activation.status()),
        .epoch = ticket.epoch,
        .step_id = ticket.step_id});
  return std::nullopt;
}

void Session::answer(const Ticket& ticket, const StepOutput& output, ClientLink& client) {
  std::uint32_t first = 0;
  if (ticket.return_rows == wire::RETURN_LAST) first = ticket.rows - 1;
  std::optional<wire::Activation> activation;
  if (!open_.score) {
    activation = encoded(ticket, std::span(output.x).subspan(std::size_t{first} * facts_.hidden));
    if (!activation) return;
  }
  wire::HopFrame frame;
  wire::Result& result = *frame.mutable_result();
  result.set_epoch(ticket.epoch);
  result.set_step_id(ticket.step_id);
  result.set_start_position(ticket.start_position + first);
  if (activation) {
    *result.mutable_activation() = *std::move(activation);
  } else {
    *result.mutable_scores() = proto::encode_scores(output.scores);
  }
  account_for_sent(frame.ByteSizeLong());
  client.send(std::move(frame));
}

void Session::push(const Ticket& ticket, const StepOutput& output, NextLink& next) {
  auto activation = encoded(ticket, output.x);
  if (!activation) return;
  wire::PushFrame frame;
  wire::Step& step = *frame.mutable_step();
  step.set_epoch(ticket.epoch);
  step.set_step_id(ticket.step_id);
  step.set_start_position(ticket.start_position);
  step.set_return_rows(ticket.return_rows);
  if (ticket.scores.top() > 0) *step.mutable_scores() = ticket.scores;
  *step.mutable_activation() = std::move(*activation);
  account_for_sent(frame.ByteSizeLong());
  next.send(std::move(frame));
}

void Session::account_for(const Ticket& ticket) {
  (ticket.rows > 1 ? account_.prefill_tokens : account_.decode_tokens) += ticket.rows;
  if (book_ != nullptr) book_->computed(ticket.rows);
}

void Session::account_for_sent(std::uint64_t bytes) {
  bytes_out_ += bytes;
  const base::MutexLock lock(mutex_);
  if (book_ != nullptr) book_->sent(bytes);
}

void Session::heartbeat(std::uint64_t nonce) {
  std::shared_ptr<ClientLink> client;
  {
    const base::MutexLock lock(mutex_);
    last_activity_ = Clock::now();
    client = client_link_;
  }
  if (client == nullptr) return;
  wire::HopFrame frame;
  frame.mutable_heartbeat()->set_nonce(nonce);
  client->send(std::move(frame));
}

void Session::keep(const wire::Keep& keep) {
  const auto hashes = parse_hashes(keep.hashes());
  const std::uint64_t pages = std::uint64_t{keep.first_page()} + (hashes ? hashes->size() : 0);
  if (!hashes || pages > open_.max_positions / proto::kPrefixPagePositions) {
    return fail(
        refuse(absl::StatusCode::kInvalidArgument,
               fmt::format("keep: {} bytes of hashes from page {} on: 16 for each page, at "
                           "most {} and within the positions that were asked for",
                           keep.hashes().size(), keep.first_page(), proto::kMaxPrefixPages)));
  }
  const base::MutexLock lock(mutex_);
  last_activity_ = Clock::now();
  // Said of what a later step has truncated: the two came by different ways.
  if (closed_ || keep.epoch() != epoch_ || keep.step_id() < last_truncation_) return;
  device_.keep(key_, keep.first_page(), *hashes);
}

bool Session::admits(const proto::PeerId& caller, const std::string& token) const {
  if (!open_.previous || token.size() != proto::HopToken::kSize) return false;
  const bool same =
      sodium_memcmp(token.data(), open_.previous->token.bytes.data(), token.size()) == 0;
  return same && caller == open_.previous->peer;
}

void Session::set_previous(std::shared_ptr<PreviousLink> previous) {
  {
    const base::MutexLock lock(mutex_);
    last_activity_ = Clock::now();
    if (!closed_) std::swap(previous, previous_);
  }
  if (previous) previous->end();
}

void Session::next_failed(absl::StatusCode code, const std::string& reason) {
  if (!open_.next) return;
  ServiceBook* book = nullptr;
  {
    const base::MutexLock lock(mutex_);
    if (!closed_) book = book_;
  }
  if (book != nullptr) {
    book->lost({short_name(id()), short_name(open_.next->peer),
                proto::printable(reason, kMaxLoggedReason)},
               Clock::now());
  }
  fail({.code = code,
        .reason = fmt::format("the next hop {}: {}", short_name(open_.next->peer), reason),
        .at_fault = open_.next->peer});
}

void Session::previous_failed(const std::string& reason) {
  if (!open_.previous) return;
  fail({.code = absl::StatusCode::kInvalidArgument,
        .reason = fmt::format("the hop before, {}: {}", short_name(open_.previous->peer), reason),
        .at_fault = open_.previous->peer});
}

void Session::fail(Refusal refusal) { shut(std::move(refusal)); }
void Session::close() { shut(std::nullopt); }

void Session::shut(std::optional<Refusal> refusal) {
  std::shared_ptr<ClientLink> client;
  std::shared_ptr<NextLink> next;
  std::shared_ptr<PreviousLink> previous;
  ServiceBook* book = nullptr;
  SessionEnd account;
  {
    const base::MutexLock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    book = book_;
    account = account_;
    client = std::move(client_link_);
    next = std::move(next_);
    previous = std::move(previous_);
  }
  device_.close(key_);
  if (book != nullptr) {
    account.session = short_name(id());
    account.bytes_out = bytes_out_;
    const Clock::time_point now = Clock::now();
    account.seconds = std::chrono::duration<double>(now - opened_).count();
    if (refusal) account.failure = proto::printable(refusal->reason, kMaxLoggedReason);
    book->ended(account, now);
  }
  if (client) client->end(std::move(refusal));
  if (next) next->end();
  if (previous) previous->end();
}

bool Session::closed() const {
  const base::MutexLock lock(mutex_);
  return closed_;
}

std::optional<Session::Clock::time_point> Session::last_step() const {
  const base::MutexLock lock(mutex_);
  return last_step_;
}

Session::Clock::time_point Session::last_activity() const {
  const base::MutexLock lock(mutex_);
  return last_activity_;
}

}  // namespace shoal::node
