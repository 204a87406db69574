// SPDX-License-Identifier: Apache-2.0
#include "client/ring/ring_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "client/ring/chunks.h"
#include "client/swarm/node_name.h"
#include "identity/random.h"
#include "net/channel_pool.h"
#include "proto/activation.h"
#include "proto/limits.h"
#include "proto/version.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;

// TCP, TLS and the answer to Open; the channel is usually up already.
constexpr milliseconds kOpenTimeout{proto::kConnectTimeoutMs};
// Between two looks at the clock, however many messages pour in.
constexpr milliseconds kCheckInterval{50};
constexpr int kMostAtOnce = 256;
// Acknowledgements that come after the result, when they are wanted.
constexpr milliseconds kLateAckTime{200};
constexpr milliseconds kCloseTime{500}, kCancelTime{2'000};

wire::ReturnRows wire_rows(RowsWanted wanted) {
  switch (wanted) {
    case RowsWanted::kNone:
      return wire::RETURN_NONE;
    case RowsWanted::kLast:
      return wire::RETURN_LAST;
    case RowsWanted::kAll:
      return wire::RETURN_ALL;
  }
  return wire::RETURN_NONE;
}

double us_between(std::chrono::steady_clock::time_point from,
                  std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

}  // namespace

RingSession::RingSession(Route route, const RingOptions& options, net::ChannelPool& channels,
                         net::IoThread& io, const base::StopToken& interrupt)
    : route_(std::move(route)),
      options_(options),
      channels_(channels),
      io_(io),
      interrupt_(interrupt),
      hops_(route_.size()),
      pace_(options_.promised_us.empty() ? std::vector<double>(route_.size())
                                         : options_.promised_us) {
  CHECK(options_.promised_us.empty() || options_.promised_us.size() == route_.size());
  CHECK(options_.prefix.empty() || options_.prefix.size() == route_.size());
  CHECK(!route_.empty() && options_.hidden > 0 && options_.positions > 0);
}

RingSession::~RingSession() {
  heartbeat_.reset();
  const bool broken = !failure_.status.ok();
  for (HopState& hop : hops_) {
    if (hop.stream == nullptr) continue;
    broken ? hop.stream->cancel() : hop.stream->finish();
  }
  auto deadline = Clock::now() + kCloseTime;
  for (HopState& hop : hops_) {
    if (hop.stream && !hop.stream->wait_closed(deadline)) hop.stream->cancel();
  }
  deadline = Clock::now() + kCancelTime;
  for (HopState& hop : hops_) {
    if (hop.stream) hop.stream->wait_closed(deadline);
  }
}

absl::Status RingSession::open() {
  identity::Random random = identity::Random::from_system();
  const auto session_id = random.bytes<proto::SessionId::kSize>();
  std::vector<std::string> tokens(hops_.size());  // [i]: by which hop i knows hop i - 1
  for (std::size_t hop = 1; hop < hops_.size(); ++hop) {
    const auto token = random.bytes<proto::HopToken::kSize>();
    tokens[hop].assign(token.begin(), token.end());
  }
  for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
    open_hop(hop, std::string(session_id.begin(), session_id.end()), tokens);
  }
  welcomes_due_ = Clock::now() + kOpenTimeout;
  max_rows_ = max_chunk_rows(options_.hidden, options_.early_rows);
  const bool asks_for_pages = std::ranges::any_of(
      options_.prefix, [](const std::string& hashes) { return !hashes.empty(); });
  if (options_.early_rows == 0 || asks_for_pages) {
    if (auto status = await_welcomes(); !status.ok()) return status;
  }
  std::vector<std::shared_ptr<HopStream>> streams;
  for (HopState& hop : hops_) streams.push_back(hop.stream);
  heartbeat_ = std::make_unique<Heartbeat>(io_, milliseconds(proto::kHeartbeatIntervalMs),
                                           [streams = std::move(streams)] {
                                             wire::ClientFrame frame;
                                             frame.mutable_heartbeat()->set_nonce(0);
                                             for (const auto& stream : streams) stream->send(frame);
                                           });
  return absl::OkStatus();
}

bool RingSession::is_open() const {
  return std::ranges::all_of(hops_, [](const HopState& hop) { return hop.welcomed; });
}

std::optional<std::size_t> RingSession::late_hop(Clock::time_point now) const {
  if (now <= welcomes_due_) return std::nullopt;
  const auto late = std::ranges::find_if(hops_, [](const HopState& hop) { return !hop.welcomed; });
  if (late == hops_.end()) return std::nullopt;
  return static_cast<std::size_t>(late - hops_.begin());
}

absl::Status RingSession::await_welcomes() {
  while (!is_open()) {
    const auto event = inbox_->take(welcomes_due_, interrupt_);
    if (interrupt_.stopped()) return fail(interrupt_.status(), std::nullopt);
    if (const auto late = late_hop(Clock::now())) {
      return fail(absl::DeadlineExceededError("it does not answer"), late);
    }
    if (!event) continue;
    if (auto status = on_frame(event->hop, *event, nullptr); !status.ok()) return status;
  }
  std::uint32_t hop_limit = proto::kMaxRowsPerStep;
  for (const HopState& hop : hops_) {
    hop_limit = std::min(hop_limit, hop.welcome.max_rows_per_step());
  }
  max_rows_ = max_chunk_rows(options_.hidden, hop_limit);
  return absl::OkStatus();
}

void RingSession::open_hop(std::size_t hop, const std::string& session_id,
                           const std::vector<std::string>& tokens) {
  wire::ClientFrame frame;
  wire::Open& open = *frame.mutable_open();
  *open.mutable_version() = proto::our_version();
  open.set_session_id(session_id);
  open.set_model_digest(options_.model.to_bytes());
  open.mutable_span()->set_begin(route_[hop].span.begin);
  open.mutable_span()->set_end(route_[hop].span.end);
  open.set_max_positions(options_.positions);
  open.set_epoch(options_.epoch);
  open.set_codec(wire::CODEC_F32);
  open.set_embed(route_[hop].ends.embeds);
  open.set_score(route_[hop].ends.has_head());
  if (!options_.prefix.empty()) open.set_prefix(options_.prefix[hop]);
  if (hop > 0) {
    open.set_hop_token(tokens[hop]);
    open.set_previous_peer_id(route_[hop - 1].peer.to_bytes());
  }
  if (hop + 1 < route_.size()) {
    wire::NextHop& next = *open.mutable_next();
    next.set_peer_id(route_[hop + 1].peer.to_bytes());
    next.set_hop_token(tokens[hop + 1]);
  }
  HopState& state = hops_[hop];
  state.idle_since = Clock::now();
  state.stream = HopStream::open(channels_.get(route_[hop].peer, route_[hop].addresses), hop,
                                 name(hop), inbox_);
  state.stream->send(std::move(frame));
  wire::ClientFrame heartbeat;
  heartbeat.mutable_heartbeat()->set_nonce(next_nonce_++);
  state.stream->send(std::move(heartbeat));
}

std::uint32_t RingSession::kept_positions() const {
  std::uint32_t least = options_.positions;
  for (const HopState& hop : hops_) least = std::min(least, hop.welcome.kept_positions());
  return least;
}

bool RingSession::names_numerics() const {
  return std::all_of(hops_.begin(), hops_.end(), [](const HopState& hop) {
    return hop.welcome.compute() != 0 && hop.welcome.weights() != 0 && hop.welcome.kv() != 0;
  });
}

void RingSession::keep(std::uint32_t first_page, const std::vector<std::string>& hashes) {
  CHECK(failure_.status.ok() && hashes.size() == hops_.size());
  for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
    wire::ClientFrame frame;
    wire::Keep& keep = *frame.mutable_keep();
    keep.set_epoch(options_.epoch);
    keep.set_step_id(next_step_ - 1);
    keep.set_first_page(first_page);
    keep.set_hashes(hashes[hop]);
    hops_[hop].stream->send(std::move(frame));
  }
}

absl::StatusOr<std::vector<float>> RingSession::run(
    std::span<const float> rows, std::uint32_t start_position, RowsWanted wanted,
    const std::function<void(std::size_t)>& on_rows) {
  Run own{.rows = rows, .ids = {}, .count = rows.size() / options_.hidden, .wanted = wanted};
  CHECK(rows.size() == own.count * options_.hidden);
  own.wanted_rows.resize(wanted == RowsWanted::kAll    ? rows.size()
                         : wanted == RowsWanted::kLast ? options_.hidden
                                                       : 0);
  if (auto status = run(own, start_position, on_rows); !status.ok()) return status;
  return std::move(own.wanted_rows);
}

absl::StatusOr<std::vector<proto::RowScores>> RingSession::run_ids(
    std::span<const std::int32_t> ids, std::uint32_t start_position, RowsWanted wanted,
    const proto::ScoresWanted& scores, const std::function<void(std::size_t)>& on_rows) {
  CHECK(route_.front().ends.embeds && route_.back().ends.has_head());
  Run own{.rows = {}, .ids = ids, .count = ids.size(), .wanted = wanted, .scores = &scores};
  own.wanted_scores.resize(wanted == RowsWanted::kAll    ? ids.size()
                           : wanted == RowsWanted::kLast ? 1
                                                         : 0);
  if (auto status = run(own, start_position, on_rows); !status.ok()) return status;
  return std::move(own.wanted_scores);
}

// As many as hops take, and as their scores leave room for in a result.
std::size_t RingSession::most_rows(const Run& run) const {
  if (run.wanted != RowsWanted::kAll || run.scores == nullptr) return max_rows_;
  const std::size_t also = run.scores->also.size() / run.count;
  std::size_t most = proto::kMaxScores / (run.scores->top + also);
  if (also > 0) most = std::min(most, proto::kMaxAlsoIds / also);
  return std::clamp<std::size_t>(most, 1, max_rows_);
}

absl::Status RingSession::run(Run& run, std::uint32_t start_position,
                              const std::function<void(std::size_t)>& on_rows) {
  const std::size_t count = run.count;
  CHECK(failure_.status.ok() && flights_.empty());
  CHECK(count > 0 && start_position + count <= options_.positions);
  const std::size_t chunk = chunk_rows(count, hops_.size(), most_rows(run));
  const std::size_t most_flights = steps_in_flight(hops_.size());
  const Clock::time_point started = Clock::now();
  std::size_t sent = 0;
  // Rows of hops that turn out to compute in other numerics than they said are nobody's.
  while (sent < count || !flights_.empty() || !is_open()) {
    while (sent < count && flights_.size() < most_flights) {
      Flight flight;
      flight.step_id = next_step_++;
      flight.begin = sent;
      flight.rows = std::min(chunk, count - sent);
      flight.start_position = start_position + static_cast<std::uint32_t>(sent);
      sent += flight.rows;
      const bool wants = run.wanted != RowsWanted::kLast || sent == count;
      flight.wanted = wants ? run.wanted : RowsWanted::kNone;
      if (run.scores != nullptr && flight.wanted == RowsWanted::kLast) flight.scores = *run.scores;
      if (run.scores != nullptr && flight.wanted == RowsWanted::kAll) {
        const std::size_t also = run.scores->also.size() / count;
        const auto begin =
            run.scores->also.begin() + static_cast<std::ptrdiff_t>(flight.begin * also);
        flight.scores = {run.scores->top,
                         {begin, begin + static_cast<std::ptrdiff_t>(flight.rows * also)}};
      }
      if (auto status = send_step(run, std::move(flight)); !status.ok()) return status;
    }
    if (auto status = turn(run); !status.ok()) return status;
    while (!flights_.empty() && finished(flights_.front())) {
      record_timing(flights_.front(), started, Clock::now());
      pace_.finished(flights_.front().step_id);
      flights_.pop_front();
    }
    if (on_rows) on_rows(flights_.empty() ? sent : flights_.front().begin);
  }
  return absl::OkStatus();
}

absl::Status RingSession::send_step(const Run& run, Flight flight) {
  wire::ClientFrame frame;
  wire::Step& step = *frame.mutable_step();
  step.set_epoch(options_.epoch);
  step.set_step_id(flight.step_id);
  step.set_start_position(flight.start_position);
  step.set_return_rows(wire_rows(flight.wanted));
  if (run.ids.empty()) {
    const std::size_t hidden = options_.hidden;
    auto activation = proto::encode_activation(
        run.rows.subspan(flight.begin * hidden, flight.rows * hidden),
        static_cast<std::uint32_t>(flight.rows), options_.hidden, wire::CODEC_F32);
    if (!activation.ok()) return fail(activation.status(), std::nullopt);
    *step.mutable_activation() = *std::move(activation);
  } else {
    step.set_token_ids(proto::encode_ids(run.ids.subspan(flight.begin, flight.rows)));
    if (flight.wanted != RowsWanted::kNone) *step.mutable_scores() = proto::to_wire(flight.scores);
  }
  flight.acks.resize(hops_.size());
  flight.sent = Clock::now();
  pace_.sent(flight.step_id, flight.rows, flight.wanted != RowsWanted::kNone, flight.sent);
  flights_.push_back(std::move(flight));
  hops_.front().stream->send(std::move(frame));
  return absl::OkStatus();
}

bool RingSession::finished(const Flight& flight) const {
  const bool done =
      flight.wanted == RowsWanted::kNone ? flight.acks.back().has_value() : flight.returned;
  if (!done || !options_.full_timings) return done;
  if (flight.returned && Clock::now() > flight.returned_at + kLateAckTime) return true;
  return std::all_of(flight.acks.begin(), flight.acks.end(),
                     [](const auto& ack) { return ack.has_value(); });
}

absl::Status RingSession::turn(Run& run) {
  auto event = inbox_->take(Clock::now() + kCheckInterval, interrupt_);
  if (interrupt_.stopped()) return fail(interrupt_.status(), std::nullopt);
  // What has come already is heard before anybody is judged, but a flood of it is no excuse.
  for (int heard = 0; event && heard < kMostAtOnce; ++heard) {
    if (auto status = on_frame(event->hop, *event, &run); !status.ok()) return status;
    event = inbox_->take(Clock::time_point::min(), interrupt_);
  }
  const auto now = Clock::now();
  if (now < next_check_) return absl::OkStatus();
  next_check_ = now + kCheckInterval;
  return check_pace(now);
}

absl::Status RingSession::check_pace(Clock::time_point now) {
  if (!is_open()) {
    const auto late = late_hop(now);
    return late ? fail(absl::DeadlineExceededError("it does not answer"), late) : absl::OkStatus();
  }
  if (const auto trouble = pace_.check(now)) {
    if (trouble->certain() || (options_.leave && options_.leave(*trouble))) {
      return fail_by_pace(*trouble);
    }
  }
  if (pace_.wants_probe(now)) {
    pace_.probed(now);
    probe_hops();
  }
  return absl::OkStatus();
}

void RingSession::probe_hops() {
  wire::ClientFrame frame;
  frame.mutable_heartbeat()->set_nonce(next_nonce_++);
  for (HopState& hop : hops_) hop.stream->send(frame);
}

void RingSession::record_timing(const Flight& flight, Clock::time_point started,
                                Clock::time_point now) {
  timing_.total_us = us_between(started, now);
  timing_.hops.clear();
  Clock::time_point before = flight.sent;
  for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
    HopTiming timing;
    timing.peer = route_[hop].peer;
    timing.span = route_[hop].span;
    if (const auto& ack = flight.acks[hop]) {
      timing.queue_us = ack->queue_us;
      timing.compute_us = ack->compute_us;
      timing.network_us =
          std::max(0.0, us_between(before, ack->at) - timing.queue_us - timing.compute_us);
      before = std::max(before, ack->at);
    }
    timing_.hops.push_back(timing);
  }
  timing_.return_us = flight.returned ? std::max(0.0, us_between(before, flight.returned_at)) : 0;
}

std::string RingSession::name(std::size_t hop) const {
  return name_of_node(route_[hop].peer, route_[hop].addresses);
}

}  // namespace shoal::client
