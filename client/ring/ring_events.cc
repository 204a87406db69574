// SPDX-License-Identifier: Apache-2.0
// The part of RingSession that hears what the hops say, and finds whose fault a failure is.
#include <fmt/format.h>

#include <algorithm>

#include "client/ring/ring_session.h"
#include "net/bare_status.h"
#include "proto/activation.h"
#include "proto/limits.h"
#include "proto/printable.h"
#include "proto/scores.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;

// When a session breaks, several hops may say so: the one whose fault it is may speak last.
constexpr milliseconds kVerdictTime{100};
// A hop may ask for patience, but not for an hour.
constexpr milliseconds kMostRetryAfter{60'000};
// Messages without a purpose: a faulty hop may repeat itself, but none needs so many (a token takes
// one acknowledgement, a heartbeat one answer).
constexpr double kIdleFrames = 20'000, kIdleFramesPerS = 2'000;

}  // namespace

absl::Status RingSession::on_frame(std::size_t hop, const HopEvent& event, Run* run) {
  HopState& state = hops_[hop];
  state.stream->consumed(event);
  if (event.closed) {
    state.closed = event.closed;
    return fail_by_events();
  }
  pace_.heard(hop, event.at, event.frame.has_heartbeat());
  switch (event.frame.frame_case()) {
    case wire::HopFrame::kWelcome:
      return on_welcome(hop, event);
    case wire::HopFrame::kAck: {
      const wire::Ack& ack = event.frame.ack();
      if (ack.epoch() != options_.epoch || !pace_.acked(hop, ack.step_id(), event.at)) {
        return on_idle_frame(hop, event.at);
      }
      for (Flight& flight : flights_) {
        if (flight.step_id == ack.step_id()) {
          flight.acks[hop] = HopAck{event.at, ack.queue_us(), ack.compute_us()};
        }
      }
      return absl::OkStatus();
    }
    case wire::HopFrame::kResult:
      return on_result(hop, event, run);
    case wire::HopFrame::kHeartbeat:
      return on_idle_frame(hop, event.at);
    case wire::HopFrame::kFailure:
      state.refused = event.frame.failure();
      return fail_by_events();
    case wire::HopFrame::FRAME_NOT_SET:
      return on_idle_frame(hop, event.at);  // of a later minor version
  }
  return absl::OkStatus();
}

absl::Status RingSession::on_welcome(std::size_t hop, const HopEvent& event) {
  const wire::Welcome& welcome = event.frame.welcome();
  const std::size_t pages =
      options_.prefix.empty() ? 0 : options_.prefix[hop].size() / proto::PageHash::kSize;
  if (welcome.version().major() != proto::kProtocolMajor ||
      welcome.span().begin() != route_[hop].span.begin ||
      welcome.span().end() != route_[hop].span.end ||
      welcome.max_positions() < options_.positions || welcome.max_rows_per_step() == 0 ||
      welcome.kept_positions() % proto::kPrefixPagePositions != 0 ||
      welcome.kept_positions() / proto::kPrefixPagePositions > pages) {
    return fail(absl::InternalError("it agreed to another session than was asked for"), hop);
  }
  // It was started anew since we asked it; one of 2.0 does not say, nor does a route that nobody
  // was asked for.
  const auto now = proto::numerics_from_wire(welcome.compute(), welcome.weights(), welcome.kv());
  const proto::Numerics& described = route_[hop].numerics;
  if (now != proto::Numerics{} && described != proto::Numerics{} && now != described) {
    failure_.changed = true;
    return fail(absl::UnavailableError(
                    now ? fmt::format("it computes in {} by now, and said {} when it was asked",
                                      proto::to_string(*now), proto::to_string(described))
                        : "the kind of its arithmetic is out of range"),
                hop);
  }
  const auto ends = proto::ends_from_wire(welcome.embeds(), welcome.head());
  if (ends != route_[hop].ends) {
    failure_.changed = true;
    return fail(absl::UnavailableError("it does not compute the end of the model that it offered "
                                       "when it was asked"),
                hop);
  }
  HopState& state = hops_[hop];
  if (state.welcomed) return on_idle_frame(hop, event.at);
  state.welcome = welcome;
  state.welcomed = true;
  return absl::OkStatus();
}

absl::Status RingSession::on_result(std::size_t hop, const HopEvent& event, Run* run) {
  const wire::Result& result = event.frame.result();
  if (result.epoch() != options_.epoch) return on_idle_frame(hop, event.at);
  const auto flight = std::find_if(flights_.begin(), flights_.end(),
                                   [&](const Flight& f) { return f.step_id == result.step_id(); });
  if (hop + 1 != hops_.size() || flight == flights_.end() || flight->returned ||
      flight->wanted == RowsWanted::kNone || run == nullptr) {
    return fail(absl::InternalError("it returned rows that nobody asked for"), hop);
  }
  auto taken = run->scores != nullptr ? take_scores(hop, result, *flight, *run)
                                      : take_rows(hop, result, *flight, *run);
  if (!taken.ok()) return taken;
  const bool all = flight->wanted == RowsWanted::kAll;
  const std::uint32_t first =
      flight->start_position + static_cast<std::uint32_t>(all ? 0 : flight->rows - 1);
  if (result.start_position() != first) {
    return fail(absl::InternalError("it returned other rows than were asked for"), hop);
  }
  flight->returned = true;
  flight->returned_at = event.at;
  pace_.returned(flight->step_id, event.at);
  return absl::OkStatus();
}

absl::Status RingSession::take_rows(std::size_t hop, const wire::Result& result,
                                    const Flight& flight, Run& run) {
  const bool all = flight.wanted == RowsWanted::kAll;
  const std::size_t rows = all ? flight.rows : 1;
  auto values = proto::decode_activation(result.activation(), options_.hidden,
                                         static_cast<std::uint32_t>(rows));
  if (!values.ok()) {
    return fail(absl::InternalError(fmt::format("it returned a broken activation: {}",
                                                std::string(values.status().message()))),
                hop);
  }
  if (values->size() != rows * options_.hidden) {
    return fail(absl::InternalError("it returned other rows than were asked for"), hop);
  }
  std::copy(values->begin(), values->end(),
            run.wanted_rows.begin() +
                static_cast<std::ptrdiff_t>(all ? flight.begin * options_.hidden : 0));
  return absl::OkStatus();
}

absl::Status RingSession::take_scores(std::size_t hop, const wire::Result& result,
                                      const Flight& flight, Run& run) {
  const bool all = flight.wanted == RowsWanted::kAll;
  const auto rows = static_cast<std::uint32_t>(all ? flight.rows : 1);
  auto scores = proto::decode_scores(result.scores(), flight.scores, rows, options_.vocabulary);
  if (!scores.ok()) {
    return fail(absl::InternalError(fmt::format("it returned broken scores: {}",
                                                std::string(scores.status().message()))),
                hop);
  }
  std::move(scores->begin(), scores->end(),
            run.wanted_scores.begin() + static_cast<std::ptrdiff_t>(all ? flight.begin : 0));
  return absl::OkStatus();
}

absl::Status RingSession::fail(const absl::Status& status, std::optional<std::size_t> culprit) {
  failure_.status = status;
  if (culprit) {
    failure_.culprit = route_[*culprit].peer;
    failure_.lost = route_[*culprit].span;
    failure_.status = absl::Status(
        status.code(), fmt::format("{}: {}", name(*culprit), std::string(status.message())));
  }
  return failure_.status;
}

absl::Status RingSession::on_idle_frame(std::size_t hop, Clock::time_point at) {
  HopState& state = hops_[hop];
  const double passed_s = std::chrono::duration<double>(at - state.idle_since).count();
  state.idle_frames = std::max(0.0, state.idle_frames - passed_s * kIdleFramesPerS) + 1;
  state.idle_since = at;
  if (state.idle_frames < kIdleFrames) return absl::OkStatus();
  return fail(absl::InternalError("it floods us with messages that mean nothing"), hop);
}

absl::Status RingSession::fail_by_pace(const PaceTrouble& trouble) {
  using Kind = PaceTrouble::Kind;
  const double seconds = trouble.waited_us / 1e6;
  if (trouble.kind != Kind::kSilent) failure_.trouble = trouble;
  const bool cut =
      trouble.kind == Kind::kCut || trouble.kind == Kind::kStalled || trouble.kind == Kind::kSlow;
  if (cut && trouble.hop > 0) failure_.before = route_[trouble.hop - 1].peer;
  switch (trouble.kind) {
    case Kind::kSilent:
      return fail(absl::UnavailableError(fmt::format("it went silent {:.1f} s ago", seconds)),
                  trouble.hop);
    case Kind::kStalled:
      return fail(absl::DeadlineExceededError(fmt::format("no progress for {:.1f} s", seconds)),
                  trouble.hop);
    case Kind::kStuck:
      return fail(absl::DeadlineExceededError(
                      fmt::format("it lives, but has not done its step for {:.1f} s", seconds)),
                  trouble.hop);
    case Kind::kCut:
      return fail(absl::UnavailableError(fmt::format(
                      "{} does not get through to it, it seems: no progress for {:.1f} s",
                      name(trouble.hop - 1), seconds)),
                  trouble.hop);
    case Kind::kSlow:
      return fail(absl::DeadlineExceededError(fmt::format(
                      "it is too slow: a token takes {:.0f} ms where {:.0f} ms were promised",
                      trouble.step_us / 1e3, trouble.promised_us / 1e3)),
                  trouble.hop);
  }
  return absl::InternalError("");
}

absl::Status RingSession::fail_by_events() {
  const auto until = Clock::now() + kVerdictTime;
  while (auto event = inbox_->take(until, interrupt_)) {
    if (Clock::now() > until) break;  // of a hop that never stops talking
    HopState& state = hops_[event->hop];
    state.stream->consumed(*event);
    if (event->closed) state.closed = event->closed;
    if (!event->closed && event->frame.has_failure()) state.refused = event->frame.failure();
  }
  // A connection that broke is the plainest sign; next, what other hops say of the one that they
  // push to; last, what a hop says of itself, for that may be an echo of its neighbour's end.
  for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
    if (hops_[hop].closed && !hops_[hop].refused) {
      if (hops_[hop].closed->ok()) {
        return fail(absl::UnavailableError("it ended the session without a reason"), hop);
      }
      failure_.culprit = route_[hop].peer;
      failure_.lost = route_[hop].span;
      return failure_.status = *hops_[hop].closed;  // names the node already
    }
  }
  for (const bool self : {false, true}) {
    for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
      const auto& refused = hops_[hop].refused;
      if (!refused || (refused->peer_id().empty() != self)) continue;
      std::size_t culprit = hop;
      for (std::size_t other = 0; other < hops_.size(); ++other) {
        if (refused->peer_id() == route_[other].peer.to_bytes()) culprit = other;
      }
      failure_.retry_after = std::min(milliseconds(refused->retry_after_ms()), kMostRetryAfter);
      auto code = static_cast<absl::StatusCode>(refused->code());
      if (refused->code() == 0 || refused->code() > 16) code = absl::StatusCode::kUnknown;
      const std::string_view bare = net::sentence_for_bare(code, refused->reason());
      std::string why = bare.empty() ? proto::printable(refused->reason(), proto::kMaxReasonBytes)
                                     : std::string(bare);
      if (culprit != hop) {
        failure_.told_by = route_[hop].peer;
        why = fmt::format("{} says: {}", name(hop), why);
      }
      return fail(absl::Status(code, why), culprit);
    }
  }
  return fail(absl::UnavailableError("the session ended"), std::nullopt);
}

}  // namespace shoal::client
